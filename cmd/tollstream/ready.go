package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/spf13/cobra"
)

// readyWait bounds the answer to a question that costs nothing.
const readyWait = 5 * time.Second

func newReadyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "ready",
		Short: "Ask the process of this machine whether it is ready",
		Long: `Asks /readyz of the process that has the same http.listen, on this machine: status 0 if it
gets on, 1 if it is stuck, with what it says of that, or if nothing listens there. It is the health
check of containers, whose image has no shell.`,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := loadConfig(c)
			if err != nil {
				return err
			}
			if cfg.HTTP.Listen == "" {
				return fmt.Errorf("http.listen is empty, so no process can be asked: %w", errUsage)
			}
			return askReady(c.Context(), cfg.HTTP.Listen)
		},
	}
	addConfigFlags(c)
	return c
}

// askReady asks the process that listens there. All addresses of the machine are asked at loopback.
func askReady(ctx context.Context, listen string) error {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return fmt.Errorf("http.listen %s: %w: %w", listen, err, errUsage)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	ctx, cancel := context.WithTimeout(ctx, readyWait)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet,
		"http://"+net.JoinHostPort(host, port)+"/readyz", nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("not ready: %w", err)
	}
	defer answer.Body.Close() //nolint:errcheck // only read
	if answer.StatusCode != http.StatusOK {
		says, _ := io.ReadAll(io.LimitReader(answer.Body, 4<<10))
		return fmt.Errorf("not ready: %s", says)
	}
	return nil
}
