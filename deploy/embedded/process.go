package embedded

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"

	"tollstream/deploy/child"
)

// HiddenVerb is the argument that has the project's own binary act as the ClickHouse server.
const HiddenVerb = "embedded-clickhouse"

// The child gets its options by environment: arguments are readable by every user of the machine.
const (
	childListen   = "TOLLSTREAM_EMBEDDED_LISTEN"
	childDataDir  = "TOLLSTREAM_EMBEDDED_DATA_DIR"
	childLibrary  = "TOLLSTREAM_EMBEDDED_LIBRARY"
	childConfig   = "TOLLSTREAM_EMBEDDED_CONFIG"
	childUser     = "TOLLSTREAM_EMBEDDED_USER"
	childPassword = "TOLLSTREAM_EMBEDDED_PASSWORD"
)

// What the child says on its stdout, one line: its address, or why it cannot start.
const (
	lineReady = "ready "
	lineFault = "fault "
)

const (
	// startMax bounds the start of the child; loading the library from a cold disk takes seconds.
	startMax = 60 * time.Second
	// stopMax bounds the wait after SIGTERM. It is longer than the child's own bounds together.
	stopMax = shutdownMax + engineCloseMax + 3*time.Second
)

// ClickHouseOptions says how StartClickHouse runs its child.
type ClickHouseOptions struct {
	ServeOptions
	// Executable runs the server; empty is this binary. Args are its arguments; empty is HiddenVerb.
	Executable string
	Args       []string
	// LogWriter receives what the child prints on stderr; nil drops it.
	LogWriter io.Writer
}

// ClickHouse is a ClickHouse server in a child process.
type ClickHouse struct {
	options ClickHouseOptions
	command *exec.Cmd
	stdin   io.Closer // the child ends when this closes, as it does when this process dies
	address string
	exited  <-chan struct{}
	once    sync.Once
}

// StartClickHouse starts the server in a process of its own and returns when it answers. The child
// does not outlive this process.
func StartClickHouse(ctx context.Context, options ClickHouseOptions) (*ClickHouse, error) {
	if options.Executable == "" {
		path, err := os.Executable()
		if err != nil {
			return nil, fmt.Errorf("start ClickHouse: find this binary: %w", err)
		}
		options.Executable = path
	}
	if len(options.Args) == 0 {
		options.Args = []string{HiddenVerb}
	}
	dir, err := filepath.Abs(options.DataDir)
	if err != nil {
		return nil, fmt.Errorf("start ClickHouse: data folder %q: %w", options.DataDir, err)
	}
	ctx, cancel := context.WithTimeout(ctx, startMax)
	defer cancel()
	c := &ClickHouse{options: options}
	firstLine, err := c.spawn(dir)
	if err != nil {
		return nil, fmt.Errorf("start ClickHouse: %w", err)
	}
	if err := c.await(ctx, firstLine); err != nil {
		c.Kill()
		return nil, err
	}
	return c, nil
}

// spawn starts the child and gives its first line on stdout.
func (c *ClickHouse) spawn(dir string) (<-chan string, error) {
	c.command = exec.Command(c.options.Executable, c.options.Args...)
	c.command.Stderr = c.options.LogWriter
	c.command.Env = append(os.Environ(), childListen+"="+c.options.Listen, childDataDir+"="+dir,
		childLibrary+"="+c.options.Library, childUser+"="+c.options.User,
		childPassword+"="+c.options.Password)
	if c.options.Config != "" {
		c.command.Env = append(c.command.Env, childConfig+"="+c.options.Config)
	}
	stdin, err := c.command.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := c.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	c.stdin = stdin
	firstLine := make(chan string, 1)
	c.exited, err = child.Start(c.command, func() {
		lines := bufio.NewReader(stdout)
		line, _ := lines.ReadString('\n')
		firstLine <- strings.TrimSpace(line)
		_, _ = io.Copy(io.Discard, lines)
	})
	return firstLine, err
}

// await waits for the child's first line and then for its first answer.
func (c *ClickHouse) await(ctx context.Context, firstLine <-chan string) error {
	select {
	case <-ctx.Done():
		return fmt.Errorf("start ClickHouse: no answer: %w", ctx.Err())
	case line := <-firstLine:
		if fault, ok := strings.CutPrefix(line, lineFault); ok {
			return errors.New(fault)
		}
		address, ok := strings.CutPrefix(line, lineReady)
		if !ok {
			return fmt.Errorf("start ClickHouse: %s %s ended without starting the server: %q",
				c.options.Executable, strings.Join(c.options.Args, " "), line)
		}
		c.address = address
	}
	return ping(ctx, c.address)
}

func ping(ctx context.Context, address string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/ping", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("start ClickHouse: ping %s: %w", address, err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("start ClickHouse: ping %s: %s", address, response.Status)
	}
	return nil
}

// Addr is the host:port of the HTTP interface.
func (c *ClickHouse) Addr() string { return c.address }

// PID is the process id of the child.
func (c *ClickHouse) PID() int { return c.command.Process.Pid }

// Exited is closed when the child has ended, for whatever reason.
func (c *ClickHouse) Exited() <-chan struct{} { return c.exited }

// Options are what clickhouse-go needs to connect.
func (c *ClickHouse) Options() *clickhouse.Options {
	return &clickhouse.Options{
		Protocol: clickhouse.HTTP,
		Addr:     []string{c.address},
		Auth:     clickhouse.Auth{Username: c.user(), Password: c.options.Password},
	}
}

func (c *ClickHouse) user() string {
	if c.options.User == "" {
		return userDefault
	}
	return c.options.User
}

// DSN is the same as Options in one line, for tools that take an address. It holds the password.
func (c *ClickHouse) DSN() string {
	dsn := url.URL{Scheme: "http", Host: c.address, Path: "/default",
		User: url.UserPassword(c.user(), c.options.Password)}
	return dsn.String()
}

// Close asks the child to end and waits. It kills it only when that takes too long.
func (c *ClickHouse) Close() error {
	c.once.Do(func() {
		_ = c.command.Process.Signal(syscall.SIGTERM)
		select {
		case <-c.exited:
		case <-time.After(stopMax):
			_ = c.command.Process.Kill()
			<-c.exited
		}
		_ = c.stdin.Close()
	})
	return nil
}

// Kill ends the child at once, as a crash would, and waits until it is gone.
func (c *ClickHouse) Kill() {
	if c.command.Process != nil {
		_ = c.command.Process.Kill()
		<-c.exited
	}
	_ = c.stdin.Close()
}

// ServeChild is the whole of HiddenVerb: it serves with the options that StartClickHouse left in
// the environment, until SIGTERM or the end of the parent. It reports to the parent on stdout, and
// its error is for the exit code only.
func ServeChild(ctx context.Context) error {
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, os.Interrupt)
	defer stop()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	err := ServeClickHouse(ctx, ServeOptions{
		Listen:   os.Getenv(childListen),
		DataDir:  os.Getenv(childDataDir),
		Library:  os.Getenv(childLibrary),
		Config:   os.Getenv(childConfig),
		User:     os.Getenv(childUser),
		Password: os.Getenv(childPassword),
		Ready:    func(address string) { fmt.Println(lineReady + address) },
	})
	if err != nil {
		fmt.Println(lineFault + strings.ReplaceAll(err.Error(), "\n", " "))
	}
	return err
}
