package child

import "syscall"

// attributes has the kernel end the child when this process dies. The child is in a group of its
// own, so that Ctrl-C in a terminal reaches only the parent, which then stops it in order.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM, Setpgid: true}
}
