// Package child starts processes that end when this one does. It owns that bond and nothing of what
// the processes are.
package child

import (
	"os/exec"
	"runtime"
)

// Start starts a command. On Linux it gets SIGTERM when this process dies. The kernel sends that
// when the thread that forked dies, so the thread stays until the command has ended.
//
// read, if not nil, reads the command's pipes to their end, since waiting closes them. The channel
// is closed when the process has ended, for whatever reason; command.ProcessState is known then.
func Start(command *exec.Cmd, read func()) (exited <-chan struct{}, err error) {
	command.SysProcAttr = attributes()
	started, over := make(chan error), make(chan struct{})
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(over)
		err := command.Start()
		started <- err
		if err != nil {
			return
		}
		if read != nil {
			read()
		}
		_ = command.Wait()
	}()
	return over, <-started
}
