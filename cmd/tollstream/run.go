package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"tollstream/pipeline/stored"
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
			giveBack := collectBy(cfg.Roles)
			s, err := build(c.Context(), cfg, logger)
			if err != nil {
				return fmt.Errorf("start: %w", err)
			}
			defer s.Close()
			s.closed = func(*stored.Settlement) { giveBack() }
			return s.Run(c.Context())
		},
	}
	addConfigFlags(c)
	return c
}
