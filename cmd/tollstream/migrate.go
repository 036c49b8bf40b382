package main

import (
	"cmp"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"tollstream/sinks/clickhouse"
)

// newMigrateCommand makes `tollstream migrate`; options says where ClickHouse is.
func newMigrateCommand(
	options func(*cobra.Command) (clickhouse.Options, error),
) *cobra.Command {
	var dryRun, printSQL bool
	var cluster string
	c := &cobra.Command{
		Use:   "migrate",
		Short: "Create or upgrade the ClickHouse schema",
		Long: `Creates the database where it is missing and brings tables and views to the version of
this program. It can be repeated, run again after it was cut short, and run by several processes at
once. A schema that is newer than this program is refused.

With --cluster (or the setting clickhouse.cluster) it makes the schema on all servers of a cluster:
replicated tables on every shard, and Distributed tables over them. Nobody has run that on a cluster
with a Keeper yet; --print-sql shows every statement first.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o, err := options(c)
			if err != nil {
				return err
			}
			o.Cluster = cmp.Or(cluster, o.Cluster)
			if printSQL {
				return writeClusterDDL(c.OutOrStdout(), o)
			}
			r, err := clickhouse.Migrate(c.Context(), o, dryRun)
			if err != nil {
				return fmt.Errorf("migrate: %w", err)
			}
			return writeMigrateResult(c.OutOrStdout(), o.Database, r, dryRun)
		},
	}
	c.Flags().BoolVar(&dryRun, "dry-run", false, "say what would be done and change nothing")
	c.Flags().StringVar(&cluster, "cluster", "", "make the schema on this cluster; without it "+
		"clickhouse.cluster says whether there is one")
	c.Flags().BoolVar(&printSQL, "print-sql", false, "write the statements for a cluster, from the "+
		"first on, and ask no server")
	return c
}

func writeClusterDDL(w io.Writer, o clickhouse.Options) error {
	if o.Cluster == "" {
		return fmt.Errorf("--print-sql is for a cluster: name it with --cluster: %w", errUsage)
	}
	list, err := clickhouse.ClusterDDL(o)
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, strings.Join(list, ";\n\n")+";\n")
	return err
}

func writeMigrateResult(
	w io.Writer, database string, r *clickhouse.MigrateResult, dryRun bool,
) error {
	if database == "" {
		database = clickhouse.DatabaseDefault
	}
	created, applied := "created", "applied"
	if dryRun {
		created, applied = "would create", "would apply"
	}
	out := fmt.Sprintf("database %s: version %d\n", database, r.Before)
	if r.CreatedDatabase {
		out = fmt.Sprintf("%s database %s\n", created, database)
	}
	for _, m := range r.Applied {
		out += applied + " " + m.Name
		if !dryRun {
			out += fmt.Sprintf(" (%s)", m.Took.Round(time.Millisecond))
		}
		out += "\n"
	}
	if r.Hints > 0 {
		out += fmt.Sprintf("wrote %d hints of quarantine reasons\n", r.Hints)
	}
	if len(r.Applied) == 0 {
		out += "the schema is up to date\n"
	}
	_, err := io.WriteString(w, out)
	return err
}
