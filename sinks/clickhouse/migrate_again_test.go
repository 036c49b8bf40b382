package clickhouse

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"
)

// schemaTexts is every table and view as the server would create it, and the versions applied.
func schemaTexts(t *testing.T, options Options) []string {
	t.Helper()
	s := reopen(t, options)
	list := rowTexts(t, s, "create_table_query",
		"FROM system.tables WHERE database = currentDatabase() ORDER BY name")
	for i := range list {
		list[i] = strings.ReplaceAll(list[i], options.Database+".", "")
	}
	return append(list, rowTexts(t, s, "version_id",
		"FROM (SELECT DISTINCT version_id FROM "+versionsTable+") ORDER BY version_id")...)
}

// freshSchema is the outcome of one undisturbed migration.
func freshSchema(t *testing.T) []string {
	t.Helper()
	return schemaTexts(t, newStore(t).options)
}

func TestMigrateAgainAfterItWasCutShort(t *testing.T) {
	want, options := freshSchema(t), freshOptions(t)
	tries := cutShort(t, options, func() {
		s, err := Open(t.Context(), options)
		if err == nil {
			err = s.Ready(t.Context())
			_ = s.Close()
		}
		if err != nil && !strings.Contains(err.Error(), "run tollstream migrate") {
			t.Errorf("Ready with a part of the schema: %v", err)
		}
	})
	if got := schemaTexts(t, options); !slices.Equal(got, want) {
		t.Errorf("after %d tries the schema is\n%s\nwant\n%s", tries, strings.Join(got, "\n"),
			strings.Join(want, "\n"))
	}
}

// TestMigrateLate: a process that was paused in a migration and goes on when another one is done
// with all of them, and dies before it gets to the later ones itself, changes nothing.
func TestMigrateLate(t *testing.T) {
	want, s := tablesOnly(freshSchema(t)), newStore(t)
	forget := "DELETE FROM " + versionsTable + " WHERE version_id > 0"
	if err := s.exec(t.Context(), "forget", forget); err != nil {
		t.Fatal(err)
	}
	cutShort(t, s.options, func() {
		if got := tablesOnly(schemaTexts(t, s.options)); !slices.Equal(got, want) {
			t.Fatalf("the schema was\n%s\nand is\n%s", strings.Join(want, "\n"),
				strings.Join(got, "\n"))
		}
	})
}

func tablesOnly(schema []string) []string {
	return slices.DeleteFunc(slices.Clone(schema), func(s string) bool {
		return !strings.HasPrefix(s, "CREATE")
	})
}

// cutShort migrates by processes that die after so many statements. Each gets one statement further
// than the one before it; look is called after each death.
func cutShort(t *testing.T, options Options, look func()) (tries int) {
	t.Helper()
	var left atomic.Int64
	done, cut := int64(0), options
	cut.Addr = cutter(t, options.Addr, &left)
	for reach := int64(1); ; reach++ {
		left.Store(reach)
		_, err := Migrate(t.Context(), cut, false)
		if err == nil {
			break
		} else if left.Load() >= 0 {
			t.Fatalf("not cut short, and yet: %v", err)
		}
		look()
		tries++
		if version, err := options.schemaVersion(t.Context()); err != nil {
			t.Fatal(err)
		} else if version > done {
			done, reach = version, 0
		}
	}
	if least := 4 * int(latestMigration()); tries < least {
		t.Errorf("only %d migrations were cut short", tries)
	}
	return tries
}

var change = regexp.MustCompile(`^\s*(?:CREATE|ALTER|INSERT)\b`)

// cutter is a way to the server on which nothing gets through once so many statements that change
// something have.
func cutter(t *testing.T, addr string, left *atomic.Int64) string {
	t.Helper()
	forward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: addr})
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		changes := change.Match(body) || change.MatchString(r.URL.Query().Get("query"))
		if err != nil || left.Load() < 0 || changes && left.Add(-1) < 0 {
			panic(http.ErrAbortHandler)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(proxy.Close)
	return proxy.Listener.Addr().String()
}

func TestMigrateByManyAtOnce(t *testing.T) {
	want := freshSchema(t)
	for round := range 3 {
		options := freshOptions(t)
		var group errgroup.Group
		for range 6 {
			group.Go(func() error {
				_, err := Migrate(t.Context(), options, false)
				return err
			})
		}
		if err := group.Wait(); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if got := schemaTexts(t, options); !slices.Equal(got, want) {
			t.Fatalf("round %d: the schema is\n%s\nwant\n%s", round, strings.Join(got, "\n"),
				strings.Join(want, "\n"))
		}
		if err := reopen(t, options).Ready(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestNewerSchemaIsRefused(t *testing.T) {
	s := newStore(t)
	newer := latestMigration() + 2
	err := s.exec(t.Context(), "come from the future", fmt.Sprintf(
		"INSERT INTO %s (version_id, is_applied) VALUES (%d, 1)", versionsTable, newer))
	if err != nil {
		t.Fatal(err)
	}
	before := schemaTexts(t, s.options)
	_, migrated := Migrate(t.Context(), s.options, false)
	_, planned := Migrate(t.Context(), s.options, true)
	for doing, err := range map[string]error{"migrate": migrated, "a dry run": planned,
		"Ready": s.Ready(t.Context())} {
		for _, part := range []string{s.Database(), fmt.Sprintf("version %d,", newer),
			fmt.Sprintf("up to %d:", latestMigration()), "use the program that migrated it"} {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%s says %v, without %q", doing, err, part)
			}
		}
	}
	if got := schemaTexts(t, s.options); !slices.Equal(got, before) {
		t.Error("a migration that was refused has changed something")
	}
}
