package main

import (
	"fmt"
	"io"
	"log/slog"
)

// newLogger makes the process's logger. Log lines go to stderr; stdout is for results.
func newLogger(c LogConfig, stderr io.Writer) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		return nil, fmt.Errorf("log.level %q: %w: %w", c.Level, err, errUsage)
	}
	options := &slog.HandlerOptions{Level: level}
	if c.Format == "json" {
		return slog.New(slog.NewJSONHandler(stderr, options)), nil
	}
	return slog.New(slog.NewTextHandler(stderr, options)), nil
}
