package main

import (
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"tollstream/pipeline/billing"
)

// Secret is a text that is never shown: not by fmt, not by slog, not as JSON or YAML.
type Secret string

const redacted = "(redacted)"

// String hides the secret.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return redacted
}

// GoString hides the secret from %#v.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// LogValue hides the secret from slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText hides the secret from encoders.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Bytes is a size, written as 1500B, 64KiB, 32MiB or 1GiB.
type Bytes int64

var byteUnits = []struct {
	name string
	size Bytes
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// String writes the size in the largest unit that divides it.
func (b Bytes) String() string {
	for _, u := range byteUnits {
		if b != 0 && b%u.size == 0 {
			return strconv.FormatInt(int64(b/u.size), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10) + "B"
}

func parseBytes(s string) (Bytes, error) {
	wrong := fmt.Errorf("%q is not a size (such as 64KiB, 32MiB or 1GiB)", s)
	for _, u := range byteUnits {
		digits, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSpace(digits), 10, 64)
		if err != nil || n < 0 || n > (1<<62)/int64(u.size) {
			return 0, wrong
		}
		return Bytes(n) * u.size, nil
	}
	return 0, wrong
}

// parseValue reads a setting's text into its field. Lists may also come as []string.
func parseValue(to, from any) (err error) {
	list, isList := to.(*[]string)
	texts, fromList := from.([]string)
	switch {
	case isList && fromList:
		*list = texts
		return nil
	case isList:
		*list = splitList(from.(string))
		return nil
	case fromList:
		return errors.New("a list stands where one value is needed")
	}
	s := from.(string)
	switch p := to.(type) {
	case *string:
		*p = s
	case *Secret:
		*p = Secret(s)
	case *bool:
		if s != "true" && s != "false" {
			return fmt.Errorf("%q is not true or false", s)
		}
		*p = s == "true"
	case *int:
		if *p, err = strconv.Atoi(s); err != nil {
			return fmt.Errorf("%q is not a whole number", s)
		}
	case *Bytes:
		*p, err = parseBytes(s)
	case *time.Duration:
		if *p, err = time.ParseDuration(s); err != nil {
			return fmt.Errorf("%q is not a duration (such as 500ms, 20s or 5m)", s)
		}
	case *billing.Day:
		if *p = 0; s != "" {
			*p, err = billing.ParseDay(s)
		}
	case *billing.Instant:
		if *p = 0; s != "" {
			*p, err = billing.ParseInstant(s)
		}
	default:
		panic(fmt.Sprintf("no reader for settings of type %T", to))
	}
	return err
}

// splitList reads "a, b" as two elements.
func splitList(s string) []string {
	list := []string{}
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			list = append(list, part)
		}
	}
	return list
}

// formatValue writes a field as parseValue reads it.
func formatValue(field any) string {
	switch p := field.(type) {
	case *string:
		return *p
	case *Secret:
		return p.String()
	case *bool:
		return strconv.FormatBool(*p)
	case *int:
		return strconv.Itoa(*p)
	case *Bytes:
		return p.String()
	case *time.Duration:
		return formatDuration(*p)
	case *[]string:
		return strings.Join(*p, ", ")
	case *billing.Day:
		if *p != 0 {
			return p.String()
		}
	case *billing.Instant:
		if *p != 0 {
			return p.String()
		}
	}
	return ""
}

// formatDuration leaves out the zeros that Duration.String adds: 5m, not 5m0s.
func formatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// magnitude makes values comparable with their bounds.
func magnitude(field any) int64 {
	switch p := field.(type) {
	case *int:
		return int64(*p)
	case *Bytes:
		return int64(*p)
	case *time.Duration:
		return int64(*p)
	}
	panic(fmt.Sprintf("settings of type %T have no bounds", field))
}

// typeName names a setting's type for help texts.
func typeName(field any) string {
	switch field.(type) {
	case *bool:
		return "bool"
	case *int:
		return "int"
	case *Bytes:
		return "size"
	case *time.Duration:
		return "duration"
	case *[]string:
		return "list"
	case *billing.Day:
		return "date"
	case *billing.Instant:
		return "time"
	}
	return "text"
}

// textFlag is the command-line flag of a setting. It checks the form at once and keeps the text.
type textFlag struct {
	text string
	kind string
	to   any
}

// String is the flag's text.
func (f *textFlag) String() string { return f.text }

// Type is shown in the help.
func (f *textFlag) Type() string { return f.kind }

// Set keeps a text that the setting can read.
func (f *textFlag) Set(s string) error {
	if err := parseValue(f.to, s); err != nil {
		return err
	}
	f.text = s
	return nil
}
