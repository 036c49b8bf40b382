package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"tollstream/deploy/child"
)

// process is a child with a log of its own. It does not outlive this process.
type process struct {
	command *exec.Cmd
	log     string
	lines   chan string // what it says on its standard output
	exited  <-chan struct{}
}

// stopMax bounds the wait for a child that was told to end, after which it is killed.
const stopMax = 20 * time.Second

// startProcess runs a command. Its errors go to a log file named after its first argument.
func startProcess(folder, path string, args ...string) (*process, error) {
	p := &process{command: exec.Command(path, args...), lines: make(chan string, 16),
		log: filepath.Join(folder, args[0]+".log")}
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	p.command.Stderr = log
	out, err := p.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.exited, err = child.Start(p.command, func() {
		defer log.Close() //nolint:errcheck // the child wrote it
		for lines := bufio.NewScanner(out); lines.Scan(); {
			select {
			case p.lines <- lines.Text():
			default: // nobody waits for it
			}
		}
		_, _ = io.Copy(io.Discard, out)
	})
	return p, err
}

func (p *process) pid() int { return p.command.Process.Pid }

// said waits for the next line that begins with a word, and gives what follows it.
func (p *process) said(ctx context.Context, word string) (string, error) {
	for {
		select {
		case line := <-p.lines:
			if rest, ok := strings.CutPrefix(line, word); ok {
				return strings.TrimSpace(rest), nil
			}
		case <-p.exited:
			return "", p.ended()
		case <-ctx.Done():
			return "", fmt.Errorf("%s did not say %q: %w", p.command.Args[1], word, ctx.Err())
		}
	}
}

// ended is the error of a process that has ended by itself.
func (p *process) ended() error {
	text, _ := os.ReadFile(p.log)
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return fmt.Errorf("%s ended: %s: %s", p.command.Args[1], p.command.ProcessState,
		lines[len(lines)-1])
}

// stop ends the process and waits.
func (p *process) stop() {
	_ = p.command.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.exited:
	case <-time.After(stopMax):
		_ = p.command.Process.Kill()
		<-p.exited
	}
}
