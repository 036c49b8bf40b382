package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"tollstream/pipeline/catalog"
	"tollstream/pipeline/catalog/catalogtest"
	"tollstream/schemas"
)

// newCatalogCommand makes the verbs about catalogues. load reads one; "" means the embedded one.
func newCatalogCommand(load func(path string) (*catalog.Catalog, error)) *cobra.Command {
	c := &cobra.Command{
		Use:   "catalog",
		Short: "Check, show and test a product's catalogue",
		Long: `A catalogue says what a product charges for: tags, prices, packages, result codes, each
with its dates and sources. Without --catalog the embedded FaceID catalogue is used.`,
	}
	c.AddCommand(
		newCatalogCheckCommand(load), newCatalogShowCommand(load), newCatalogTestCommand(load),
	)
	return c
}

func newCatalogCheckCommand(load func(string) (*catalog.Catalog, error)) *cobra.Command {
	return &cobra.Command{
		Use:   "check [FILE...]",
		Short: "Say what is wrong with catalogue files, all of it, by line",
		Args:  cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, files []string) error {
			if len(files) == 0 {
				files = []string{""}
			}
			faulty := 0
			for _, file := range files {
				cat, err := load(file)
				var faults catalog.Faults
				if errors.As(err, &faults) {
					fmt.Fprintln(c.ErrOrStderr(), faults)
					faulty += len(faults)
					continue
				}
				if err != nil {
					return err
				}
				fmt.Fprintf(c.OutOrStdout(), "%s: sound: %s %s, %d tags, %d channels, digest %s\n",
					orEmbedded(file), cat.Product, cat.Version, len(cat.Tags), len(cat.Channels),
					cat.Digest)
			}
			if faulty > 0 {
				return fmt.Errorf("catalogue check: %d fault(s); mend the lines above", faulty)
			}
			return nil
		},
	}
}

func orEmbedded(file string) string {
	if file == "" {
		return "embedded catalogue"
	}
	return file
}

func newCatalogTestCommand(load func(string) (*catalog.Catalog, error)) *cobra.Command {
	var path string
	var verbose bool
	c := &cobra.Command{
		Use:   "test [--catalog F] [EXAMPLES...]",
		Short: "Run the example tests of a catalogue",
		Long: `Runs example files against a catalogue. Without EXAMPLES, those embedded with the FaceID
catalogue, or the file examples.yaml beside the one that --catalog names.`,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, files []string) error {
			cat, err := load(path)
			if err != nil {
				return err
			}
			if len(files) == 0 && path != "" {
				files = []string{filepath.Join(filepath.Dir(path), "examples.yaml")}
			}
			if len(files) == 0 {
				return runExamples(c.OutOrStdout(), cat, "faceid/examples.yaml",
					schemas.FaceIDExamples(), verbose)
			}
			var all []error
			for _, file := range files {
				data, err := os.ReadFile(file)
				if err != nil {
					return fmt.Errorf("examples: %w: %w", err, errUsage)
				}
				all = append(all, runExamples(c.OutOrStdout(), cat, file, data, verbose))
			}
			return errors.Join(all...)
		},
	}
	c.Flags().StringVar(&path, "catalog", "", "catalogue file (default: the embedded FaceID one)")
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "list the examples that hold, too")
	return c
}

// runExamples prints what does not hold, and fails if anything does not.
func runExamples(out io.Writer, cat *catalog.Catalog, name string, data []byte,
	verbose bool,
) error {
	results, err := catalogtest.RunExamples(cat, name, data)
	if err != nil {
		return err
	}
	failed := 0
	for _, r := range results {
		if r.OK() && verbose {
			fmt.Fprintf(out, "ok    %s:%d: %s\n", name, r.Line, r.Name)
		}
		if !r.OK() {
			failed++
			fmt.Fprintf(out, "FAIL  %s:%d: %s\n      %s\n", name, r.Line, r.Name,
				strings.Join(r.Diffs, "\n      "))
		}
	}
	fmt.Fprintf(out, "%s: %d examples, %d failed (catalogue %s %s)\n",
		name, len(results), failed, cat.Product, cat.Version)
	if failed > 0 {
		return fmt.Errorf("%s: %d of %d examples do not hold; mend the catalogue or the example",
			name, failed, len(results))
	}
	return nil
}
