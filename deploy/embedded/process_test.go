package embedded

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestKilledServerKeepsWhatItAcknowledged inserts until the process is killed in the middle of it.
func TestKilledServerKeepsWhatItAcknowledged(t *testing.T) {
	dir := t.TempDir()
	server := startServer(t, dir)
	db := connect(t, server, nil)
	execAll(t, db, "CREATE TABLE t (a UInt64) ENGINE = MergeTree ORDER BY a")
	acknowledged := 0
	time.AfterFunc(400*time.Millisecond, server.Kill)
	for batch, err := db.PrepareBatch(t.Context(), "INSERT INTO t"); err == nil; batch, err =
		db.PrepareBatch(t.Context(), "INSERT INTO t") {
		for i := range 100 {
			if err := batch.Append(uint64(i)); err != nil {
				t.Fatal(err)
			}
		}
		if batch.Send() != nil {
			break
		}
		acknowledged += 100
	}
	<-server.Exited()
	if acknowledged == 0 {
		t.Fatal("nothing was inserted before the kill")
	}
	again := startServer(t, dir)
	n := int(number(t, connect(t, again, nil), "SELECT count() FROM t"))
	if n != acknowledged && n != acknowledged+100 {
		t.Errorf("%d rows, want the %d acknowledged or one batch more", n, acknowledged)
	}
	execAll(t, connect(t, again, nil), "INSERT INTO t VALUES (7)")
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
	third := startServer(t, dir)
	if got := int(number(t, connect(t, third, nil), "SELECT count() FROM t")); got != n+1 {
		t.Errorf("%d rows after an orderly restart, want %d", got, n+1)
	}
}

func TestServerSaysWhatIsWrong(t *testing.T) {
	server := sharedServer(t)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("not a library"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*ClickHouseOptions)
		want   string
	}{
		"folder in use": {func(o *ClickHouseOptions) { o.DataDir = shared.dir },
			"in use by process " + strconv.Itoa(server.PID())},
		"port in use":     {func(o *ClickHouseOptions) { o.Listen = server.Addr() }, "is in use"},
		"other machines":  {func(o *ClickHouseOptions) { o.Listen = "0.0.0.0:1" }, "not loopback"},
		"missing library": {func(o *ClickHouseOptions) { o.Library = "/nowhere.so" }, "npm ci"},
		"other library":   {func(o *ClickHouseOptions) { o.Library = file }, "npm ci --prefix"},
		"no binary":       {func(o *ClickHouseOptions) { o.Executable = "/nowhere" }, "no such file"},
		"another binary":  {func(o *ClickHouseOptions) { o.Executable = "/bin/echo" }, "without"},
	} {
		t.Run(name, func(t *testing.T) {
			options := serverOptions(t, t.TempDir())
			c.change(&options)
			started, err := StartClickHouse(t.Context(), options)
			if err == nil {
				_ = started.Close()
				t.Fatal("started")
			}
			if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %q, want one line with %q", err, c.want)
			}
		})
	}
}

func TestMissingLibraryNamesTheCommand(t *testing.T) {
	t.Setenv(LibraryVariable, "")
	t.Setenv("HOME", t.TempDir())
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("XDG_DATA_HOME", "")
	t.Chdir(t.TempDir())
	if _, err := LocateLibrary(""); err == nil ||
		!strings.Contains(err.Error(), "run: npm ci --prefix deploy/embedded") {
		t.Errorf("got %v", err)
	}
	t.Setenv(LibraryVariable, "/nowhere.so")
	if _, err := LocateLibrary(""); err == nil || !strings.Contains(err.Error(), LibraryVariable) {
		t.Errorf("got %v", err)
	}
}

// TestServerEndsWithItsParent kills a parent that has no chance to clean up.
func TestServerEndsWithItsParent(t *testing.T) {
	requireLibrary(t)
	parent := exec.Command(os.Args[0], "-test.run=^TestParentForDeath$")
	parent.Env = append(os.Environ(), "EMBEDDED_PARENT_DIR="+t.TempDir(),
		"EMBEDDED_PARENT_HELPER="+helperBinary(t))
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	buffer := make([]byte, 200)
	n, _ := out.Read(buffer)
	fields := strings.Fields(string(buffer[:n]))
	_ = parent.Process.Kill()
	_ = parent.Wait()
	if len(fields) != 2 {
		t.Fatalf("the parent did not start a server: %q", buffer[:n])
	}
	pid, err := strconv.Atoi(fields[0])
	if err != nil {
		t.Fatal(err)
	}
	for begun := time.Now(); syscall.Kill(pid, 0) == nil; time.Sleep(20 * time.Millisecond) {
		if time.Since(begun) > 10*time.Second {
			t.Fatal("the server outlives its parent")
		}
	}
	if response, err := http.Get("http://" + fields[1] + "/ping"); err == nil {
		_ = response.Body.Close()
		t.Error("the port still answers")
	}
}

// TestParentForDeath is the parent in the test above; on its own it does nothing.
func TestParentForDeath(t *testing.T) {
	dir := os.Getenv("EMBEDDED_PARENT_DIR")
	if dir == "" {
		t.SkipNow()
	}
	server, err := StartClickHouse(t.Context(), ClickHouseOptions{
		ServeOptions: ServeOptions{Listen: "127.0.0.1:0", DataDir: dir},
		Executable:   os.Getenv("EMBEDDED_PARENT_HELPER"),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, _ = os.Stdout.WriteString(strconv.Itoa(server.PID()) + " " + server.Addr() + "\n")
	time.Sleep(time.Minute)
}
