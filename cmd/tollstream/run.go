package main

import (
	"fmt"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"
)

func newRunCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "run",
		Short: "Run the pipeline against the configured Kafka and ClickHouse",
		Long: `Reads call records and account events from Kafka, keeps usage in ClickHouse and closes
bills when their window ends. One process may have all roles, or several share them (--roles).`,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := loadConfig(c)
			if err != nil {
				return err
			}
			if err := cfg.ValidateRun(); err != nil {
				return err
			}
			logger, err := newLogger(cfg.Log, c.ErrOrStderr())
			if err != nil {
				return err
			}
			collectOften()
			s, err := build(c.Context(), cfg, logger)
			if err != nil {
				return fmt.Errorf("start: %w", err)
			}
			defer s.Close()
			return s.Run(c.Context())
		},
	}
	addConfigFlags(c)
	return c
}

// collectOften has the garbage collector begin when the heap has grown by half, unless the
// environment says something else (GOGC). Most of the memory are columns and blocks, in which there
// is nothing to look for, so that collecting twice as often costs little and saves a third.
func collectOften() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(50)
	}
}
