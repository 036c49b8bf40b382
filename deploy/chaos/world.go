package chaos

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/sinks/clickhouse"
)

// world is everything that runs: both servers, each behind a proxy, and the pipeline.
type world struct {
	folder   string
	binary   string // the built program
	cat      *catalog.Catalog
	line     *timeline
	kafka    *proxy
	database *proxy

	broker, clickhouse *process
	ingest, settle     []*process
	ready              map[string]string // address of /readyz by the name of a process
	stop               context.CancelFunc
	direct             string // ClickHouse's own address
	closed             int    // closings that were done when the faults ended; -1 until then
}

// startWorld starts everything in a folder.
func startWorld(ctx context.Context, o Options, first billing.Day) (*world, error) {
	w := &world{folder: o.Folder, binary: o.Program, cat: o.Catalog, ready: map[string]string{},
		closed: -1}
	ctx, w.stop = context.WithCancel(ctx)
	var err error
	if w.line, err = newTimeline(o.Folder); err != nil {
		return nil, err
	}
	if err := w.startServers(ctx); err != nil {
		return nil, errors.Join(err, w.close())
	}
	if err := w.startPipeline(ctx, o, first); err != nil {
		return nil, errors.Join(err, w.close())
	}
	return w, nil
}

func (w *world) startServers(ctx context.Context) error {
	listen, err := freeAddress()
	if err != nil {
		return err
	}
	if w.direct, err = freeAddress(); err != nil {
		return err
	}
	if w.kafka, err = startProxy(listen); err != nil {
		return err
	}
	if w.database, err = startProxy(w.direct); err != nil {
		return err
	}
	w.broker = w.process("broker", startBroker(w.folder, listen, w.kafka.addr()))
	w.clickhouse = w.process("clickhouse", startClickHouse(w.folder, w.direct, w.binary))
	w.broker.supervise(ctx)
	w.clickhouse.supervise(ctx)
	return nil
}

func (w *world) process(
	name string, start func(context.Context) (*running, error),
) *process {
	return &process{name: name, start: start, line: w.line}
}

// startPipeline creates the schema and starts two processes of each role. They are told as little
// as possible: no rewinding before the committed offsets, so that nothing rests on it.
func (w *world) startPipeline(ctx context.Context, o Options, first billing.Day) error {
	file := filepath.Join(w.folder, "catalog.yaml")
	if err := os.WriteFile(file, w.cat.File, 0o600); err != nil {
		return err
	}
	common := []string{"--catalog", file, "--clickhouse.addr", w.database.addr(),
		"--kafka.brokers", w.kafka.addr(), "--time.mode", "simulated_time"}
	if err := w.migrate(ctx, common[:4]); err != nil {
		return err
	}
	for i := range 2 {
		for _, role := range []string{"ingest", "settle"} {
			name := fmt.Sprintf("%s-%d", role, i+1)
			listen, err := freeAddress()
			if err != nil {
				return err
			}
			w.ready[name] = listen
			args := append([]string{"run", "--roles", map[string]string{
				"ingest": "ingest", "settle": "settle,usage"}[role],
				"--http.listen", listen, "--settle.first_closing", first.String(),
				"--kafka.session_timeout", "2s", "--kafka.fetch.max_wait", "100ms",
				"--ingest.batch_records_max", strconv.Itoa(o.Batches[i]), "--ingest.batch_age_max", "100ms",
				"--ingest.rewind_records", "0", "--usage.sweep_interval", o.Sweep.String()}, common...)
			p := w.process(name,
				command(filepath.Join(w.folder, name+".log"), w.binary, nil, args...))
			p.supervise(ctx)
			if role == "ingest" {
				w.ingest = append(w.ingest, p)
			} else {
				w.settle = append(w.settle, p)
			}
		}
	}
	return nil
}

// migrate creates the schema, once ClickHouse is up.
func (w *world) migrate(ctx context.Context, args []string) error {
	return eventually(ctx, startMax, func() error {
		out, err := exec.CommandContext(ctx, w.binary, append([]string{"migrate"}, args...)...).
			CombinedOutput()
		if err != nil {
			return fmt.Errorf("migrate: %w: %s", err, out)
		}
		return nil
	})
}

// startMax bounds the start of a program on a busy machine.
const startMax = 5 * time.Minute

// eventually tries until a step succeeds, and gives its last error when the time is over.
func eventually(ctx context.Context, within time.Duration, step func() error) error {
	const pause = 200 * time.Millisecond
	for deadline := time.Now().Add(within); ; time.Sleep(pause) {
		err := step()
		if err == nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("not within %s: %w", within, err)
		}
	}
}

func (w *world) pipeline() []*process { return slices.Concat(w.ingest, w.settle) }

func (w *world) all() []*process { return append(w.pipeline(), w.broker, w.clickhouse) }

// allReady asks every process of the pipeline whether it is ready.
func (w *world) allReady(ctx context.Context) error {
	for _, p := range w.pipeline() {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet,
			"http://"+w.ready[p.name]+"/readyz", nil)
		if err != nil {
			return err
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("%s is not ready: %s", p.name, answer.Status)
		}
	}
	return nil
}

// store connects to ClickHouse itself, not through the proxy.
func (w *world) store(ctx context.Context) (*clickhouse.Store, error) {
	return clickhouse.Open(ctx, clickhouse.Options{Addr: w.direct}.For(w.cat))
}

// close ends everything.
func (w *world) close() error {
	w.stop()
	for _, p := range w.all() {
		if p != nil && p.over != nil {
			<-p.over
		}
	}
	for _, p := range []*proxy{w.kafka, w.database} {
		if p != nil {
			p.close()
		}
	}
	return w.line.file.Close()
}
