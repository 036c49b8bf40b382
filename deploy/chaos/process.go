package chaos

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"tollstream/deploy/child"
)

// process is a program that is started again whenever it ends, as systemd or Kubernetes would.
type process struct {
	name  string
	start func(ctx context.Context) (*running, error)
	line  *timeline

	mu   sync.Mutex
	now  *running // nil while it is down
	rest time.Duration
	over chan struct{}
}

// running is one life of a process.
type running struct {
	pid    int
	exited <-chan struct{}
	free   func() string // what is left to do once it has ended; how it ended
	hurt   bool          // it was told to end
}

// restartPause is how long a supervisor waits before it starts a process again.
const restartPause = 100 * time.Millisecond

// supervise starts the process again and again until the context ends.
func (p *process) supervise(ctx context.Context) {
	p.over = make(chan struct{})
	go func() {
		defer close(p.over)
		for ctx.Err() == nil {
			if err := p.live(ctx); err != nil && ctx.Err() == nil {
				p.line.did("failed start of "+p.name, err.Error())
			}
			select {
			case <-time.After(restartPause + p.rested()):
			case <-ctx.Done():
			}
		}
	}()
}

// live is one life.
func (p *process) live(ctx context.Context) error {
	r, err := p.start(ctx)
	if err != nil {
		return err
	}
	p.set(r)
	select {
	case <-r.exited:
	case <-ctx.Done():
		_ = syscall.Kill(r.pid, syscall.SIGCONT)
		_ = syscall.Kill(r.pid, syscall.SIGKILL)
		<-r.exited
	}
	p.set(nil)
	how := r.free()
	if ctx.Err() == nil && !r.hurt {
		p.line.ended(p.name, how)
	}
	return nil
}

func (p *process) set(r *running) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = r
}

// rested takes what the process was told to stay down for.
func (p *process) rested() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	rest := p.rest
	p.rest = 0
	return rest
}

// end sends a signal that ends the process, which then stays down for a while. It waits for a
// process that is just being started; false means that there was none for long.
func (p *process) end(ctx context.Context, signal syscall.Signal, rest time.Duration) bool {
	const patience = 60 * time.Second
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		p.mu.Lock()
		if r := p.now; r != nil && !r.hurt {
			r.hurt, p.rest = true, rest
			err := syscall.Kill(r.pid, signal)
			p.mu.Unlock()
			return err == nil
		}
		p.mu.Unlock()
		if ctx.Err() != nil || time.Now().After(deadline) {
			return false
		}
	}
}

// each does something to the process while it is up. It is not heard of one that ends meanwhile.
func (p *process) each(do func(pid int) error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now != nil && do(p.now.pid) == nil
}

func (p *process) signal(s syscall.Signal) bool {
	return p.each(func(pid int) error { return syscall.Kill(pid, s) })
}

func (p *process) fullDisk(full bool) bool {
	return p.each(func(pid int) error { return fullDisk(pid, full) })
}

// command makes the start of a command whose output goes to a file, life after life.
func command(
	log, path string, env []string, args ...string,
) func(context.Context) (*running, error) {
	return func(context.Context) (*running, error) {
		out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(out, "--- started %s\n", time.Now().Format(time.RFC3339Nano))
		c := exec.Command(path, args...)
		c.Env = append(os.Environ(), env...)
		c.Stdout, c.Stderr = out, out
		exited, err := child.Start(c, nil)
		if err != nil {
			_ = out.Close()
			return nil, err
		}
		return &running{pid: c.Process.Pid, exited: exited, free: func() string {
			_ = out.Close()
			return c.ProcessState.String() + ": " + lastLine(log)
		}}, nil
	}
}

// lastLine is the end of a log, which says why a process ended.
func lastLine(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return lines[len(lines)-1]
}
