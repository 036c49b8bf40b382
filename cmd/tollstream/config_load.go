package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/knadh/koanf/providers/env/v2"
	"github.com/knadh/koanf/providers/posflag"
	"github.com/knadh/koanf/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const (
	configFileDefault = "tollstream.yaml"
	configFileMax     = 1 << 20 // bytes; a configuration is a few hundred lines
	secretFileMax     = 4 << 10 // bytes
	envPrefix         = "TOLLSTREAM_"
	envConfigFile     = envPrefix + "CONFIG"
)

// faults are everything that is wrong with a configuration.
type faults []string

func (f *faults) add(format string, args ...any) { *f = append(*f, fmt.Sprintf(format, args...)) }

// err is nil where there are no faults; else it has status 2.
func (f faults) err() error {
	if len(f) == 0 {
		return nil
	}
	return fmt.Errorf("configuration: %s: %w", strings.Join(f, "; "), errUsage)
}

// addConfigFlags gives a command the flags --config and --print-config and one for every setting
// that is no secret. It wraps the command's RunE, so it comes after the command was made: with
// --print-config the command prints and does not run.
func addConfigFlags(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.String("config", "", "configuration file (default "+configFileDefault+" if there is one)")
	fl.Bool("print-config", false, "print the effective configuration with its comments, and stop")
	for _, s := range settingsOf(&Config{}) {
		if s.secret {
			continue
		}
		fl.Var(&textFlag{text: s.def, kind: typeName(s.to), to: s.to}, s.key, s.help())
		if typeName(s.to) == "bool" {
			fl.Lookup(s.key).NoOptDefVal = "true"
		}
	}
	next := cmd.RunE
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if show, _ := cmd.Flags().GetBool("print-config"); show {
			return printConfig(cmd)
		}
		if next == nil {
			return nil
		}
		return next(cmd, args)
	}
}

// printConfig shows what the command would run with, also where that is faulty.
func printConfig(cmd *cobra.Command) error {
	cfg, err := readConfig(cmd.Flags(), os.Environ())
	if err != nil {
		return err
	}
	if err := writeConfig(cmd.OutOrStdout(), cfg); err != nil {
		return err
	}
	return cfg.Validate()
}

// loadConfig reads and checks the configuration of a command that has addConfigFlags. Its errors
// have status 2 and name key and place.
func loadConfig(cmd *cobra.Command) (*Config, error) {
	cfg, err := readConfig(cmd.Flags(), os.Environ())
	if err != nil {
		return nil, err
	}
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	return cfg, nil
}

// loader lays one source over the other.
type loader struct {
	values *koanf.Koanf
	origin map[string]string // of each key: file:line, variable or flag
	known  map[string]setting
	faults faults
}

func readConfig(flags *pflag.FlagSet, environ []string) (*Config, error) {
	cfg := DefaultConfig()
	l := &loader{values: koanf.New("."), origin: map[string]string{}, known: map[string]setting{}}
	list := settingsOf(cfg)
	for _, s := range list {
		l.known[s.key] = s
	}
	if err := l.file(configFile(flags, environ)); err != nil {
		return nil, err
	}
	l.environment(environ)
	l.flags(flags)
	for _, s := range list {
		if !l.values.Exists(s.key) {
			continue
		}
		if err := parseValue(s.to, l.values.Get(s.key)); err != nil {
			l.faults.add("%s: %v (%s)", s.key, err, l.origin[s.key])
		}
	}
	l.secretFile("kafka.sasl.password", &cfg.Kafka.SASL.Password, cfg.Kafka.SASL.PasswordFile)
	l.secretFile("clickhouse.password", &cfg.ClickHouse.Password, cfg.ClickHouse.PasswordFile)
	cfg.origin = l.origin
	return cfg, l.faults.err()
}

// configFile is the file to read and whether it has to be there.
func configFile(flags *pflag.FlagSet, environ []string) (string, bool) {
	if path, _ := flags.GetString("config"); path != "" {
		return path, true
	}
	for _, e := range environ {
		if path, ok := strings.CutPrefix(e, envConfigFile+"="); ok && path != "" {
			return path, true
		}
	}
	return configFileDefault, false
}

func (l *loader) file(path string, required bool) error {
	data, err := readAtMost(path, configFileMax+1)
	switch {
	case errors.Is(err, os.ErrNotExist) && !required:
		return nil
	case err != nil:
		return fmt.Errorf("configuration: %w: %w", err, errUsage)
	case len(data) > configFileMax:
		return fmt.Errorf("configuration: %s has more than %d bytes: %w", path, configFileMax,
			errUsage)
	}
	entries, err := readYAML(data)
	if err != nil {
		return fmt.Errorf("configuration: %s: %w: %w", path, err, errUsage)
	}
	for _, e := range entries {
		place := fmt.Sprintf("%s:%d", path, e.line)
		s, known := l.known[e.key]
		switch {
		case e.fault != "":
			l.faults.add("%s %s in %s", e.key, e.fault, place)
		case !known:
			l.unknown("key", e.key, e.key, place)
		case s.secret:
			l.faults.add("%s in %s: a secret has no place there; use %s or %s_file", e.key, place,
				envName(e.key), e.key)
		case e.value != nil:
			l.origin[e.key] = place
			_ = l.values.Set(e.key, e.value) // fails only for a key that is a section
		}
	}
	return nil
}

// unknown reports a name that is no setting, with the one that was probably meant.
func (l *loader) unknown(what, name, key, place string) {
	text := fmt.Sprintf("unknown %s %q", what, name)
	if place != "" {
		text += " in " + place
	}
	if near := nearest(key, settingsOf(&Config{})); near != "" {
		if what != "key" {
			near = envName(near)
		}
		text += "; did you mean " + near + "?"
	}
	l.faults.add("%s", text)
}

// notOurs are variables that stand in our environment without being settings: those by which the
// embedded ClickHouse is found and started, and those that Kubernetes and Docker make for a
// service that is called tollstream.
var notOurs = regexp.MustCompile(`^TOLLSTREAM_(CONFIG|CHDB_LIB|REQUIRE_EMBEDDED|EMBEDDED_[A-Z]+(_[A-Z]+)*|` +
	`TEST_[A-Z_]*|([A-Z0-9]+_)*(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT(_[0-9]+_[A-Z_]+)?))$`)

// environment reads TOLLSTREAM_KAFKA__BROKERS as kafka.brokers.
func (l *loader) environment(environ []string) {
	provider := env.Provider(".", env.Opt{
		Prefix:      envPrefix,
		EnvironFunc: func() []string { return environ },
		TransformFunc: func(name, value string) (string, any) {
			key := strings.ReplaceAll(strings.ToLower(strings.TrimPrefix(name, envPrefix)), "__", ".")
			if _, known := l.known[key]; known && envName(key) == name {
				l.origin[key] = name
				return key, value
			}
			if !notOurs.MatchString(name) || strings.Contains(name, "__") {
				l.unknown("variable", name, key, "")
			}
			return "", nil
		},
	})
	if err := l.values.Load(provider, nil); err != nil {
		l.faults.add("environment: %v", err)
	}
}

func envName(key string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(key, ".", "__"))
}

func (l *loader) flags(flags *pflag.FlagSet) {
	provider := posflag.ProviderWithFlag(flags, ".", l.values, func(f *pflag.Flag) (string, any) {
		if _, known := l.known[f.Name]; !known || !f.Changed {
			return "", nil
		}
		l.origin[f.Name] = "--" + f.Name
		return f.Name, f.Value.String()
	})
	if err := l.values.Load(provider, nil); err != nil {
		l.faults.add("flags: %v", err)
	}
}

// secretFile reads a password from its file.
func (l *loader) secretFile(key string, to *Secret, path string) {
	if path == "" {
		return
	}
	place := key + "_file"
	if *to != "" {
		l.faults.add("%s: given twice, by %s and by %s", key, envName(key), place)
		return
	}
	data, err := readAtMost(path, secretFileMax+1)
	switch text := strings.TrimRight(string(data), "\r\n"); {
	case err != nil:
		l.faults.add("%s: %v", place, err)
	case text == "" || len(data) > secretFileMax || strings.ContainsAny(text, "\r\n\x00"):
		l.faults.add("%s: %s must hold one line of at most %d bytes", place, path, secretFileMax)
	default:
		*to = Secret(text)
		l.origin[key] = path
	}
}

// readAtMost reads the beginning of a file, which may be a device without an end.
func readAtMost(path string, bytes int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	return io.ReadAll(io.LimitReader(f, bytes))
}

// nearest is the setting whose key is most like the given one, "" where none is alike.
func nearest(key string, list []setting) string {
	last := key[strings.LastIndexByte(key, '.')+1:]
	best, least := "", max(2, len(key)/4)+1
	for _, s := range list {
		d := distance(key, s.key)
		if strings.HasSuffix(s.key, "."+last) { // the right name in the wrong place
			d = min(d, least-1)
		}
		if d < least {
			best, least = s.key, d
		}
	}
	return best
}

// distance is how many letters must be added, dropped, changed or swapped with a neighbour.
func distance(a, b string) int {
	var before, above []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before, above, row = above, row, make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = slices.Min([]int{above[j+1] + 1, row[j] + 1, above[j] + cost})
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
	}
	return row[len(b)]
}
