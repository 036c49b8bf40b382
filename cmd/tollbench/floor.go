package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strconv"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"tollstream/pipeline/kafkalog"
)

// The floor is what no pipeline goes below: fetching the records and doing nothing with them, and
// inserting rows that are there as blocks already. Each is timed alone.
type (
	fetchFloor  struct{}
	insertFloor struct{}
)

const (
	fetchName  = "floor: fetch alone"
	insertName = "floor: insert alone"
)

func (fetchFloor) name() string  { return fetchName }
func (insertFloor) name() string { return insertName }

func (fetchFloor) start(_ context.Context, t *target) (reading, error) {
	p, err := startProcess(t.folder, t.self, "fetch", t.broker, strconv.Itoa(t.partitions))
	return floorReading{p}, err
}

func (insertFloor) start(_ context.Context, t *target) (reading, error) {
	p, err := startProcess(t.folder, t.self, "insert", t.blocks, t.clickhouse, t.database)
	return floorReading{p}, err
}

// floorReading is a process that says itself when it begins and when it is done.
type floorReading struct{ *process }

const (
	sayBegins = "begins"
	sayDone   = "done"
)

func (f floorReading) began(ctx context.Context) error { return f.wait(ctx, sayBegins) }
func (f floorReading) done(ctx context.Context) error  { return f.wait(ctx, sayDone) }

func (f floorReading) wait(ctx context.Context, word string) error {
	_, err := f.said(ctx, word)
	return err
}

func newFetchCommand() *cobra.Command {
	return &cobra.Command{
		Use: "fetch BROKER PARTITIONS", Hidden: true, Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			partitions, err := strconv.Atoi(args[1])
			if err != nil {
				return err
			}
			log, err := kafkalog.New(kafkalog.Options{Brokers: args[:1]})
			if err != nil {
				return err
			}
			defer log.Close()
			fmt.Println(sayBegins)
			if err := fetchAll(c.Context(), log, partitions); err != nil {
				return err
			}
			return sayAndWait(c.Context())
		},
	}
}

// fetchAll reads every partition to its end, as ingest fetches.
func fetchAll(ctx context.Context, log *kafkalog.Client, partitions int) error {
	var at []kafkalog.Position
	for i := range partitions {
		at = append(at, kafkalog.Position{Topic: callsTopic, Partition: i})
	}
	for len(at) > 0 {
		fetched, err := log.FetchMany(ctx, at)
		if err != nil {
			return err
		}
		at = at[:0]
		for i := range fetched {
			f := &fetched[i]
			if f.Next < f.HighWatermark || f.HighWatermark < 0 {
				at = append(at, kafkalog.Position{Topic: f.Topic, Partition: f.Partition, Offset: f.Next})
			}
			f.Release()
		}
	}
	return nil
}

// sayAndWait says that everything is done and stays, so that the usage of the process can be asked.
func sayAndWait(ctx context.Context) error {
	fmt.Println(sayDone)
	<-ctx.Done()
	return nil
}

func newInsertCommand() *cobra.Command {
	return &cobra.Command{
		Use: "insert BLOCKS CLICKHOUSE DATABASE", Hidden: true, Args: cobra.ExactArgs(3),
		RunE: func(c *cobra.Command, args []string) error {
			blocks, err := readBlocks(args[0])
			if err != nil {
				return err
			}
			fmt.Println(sayBegins)
			group, ctx := errgroup.WithContext(c.Context())
			group.SetLimit(runtime.NumCPU())
			for _, block := range blocks {
				group.Go(func() error {
					_, err := post(ctx, args[1], args[2], insertBlock, bytes.NewReader(block))
					return err
				})
			}
			if err := group.Wait(); err != nil {
				return err
			}
			return sayAndWait(c.Context())
		},
	}
}

// insertBlock inserts a ready block as tollstream inserts its own.
const insertBlock = "INSERT INTO call_copies SETTINGS optimize_on_insert = 0 FORMAT Native"

func readBlocks(folder string) (blocks [][]byte, err error) {
	paths, err := filepath.Glob(filepath.Join(folder, "*.native"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		block, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		blocks = append(blocks, block)
	}
	return blocks, nil
}

// post sends a statement over ClickHouse's HTTP interface, with data where it has some.
func post(ctx context.Context, address, database, sql string, data io.Reader) ([]byte, error) {
	to := "http://" + address + "/?" + url.Values{"database": {database}, "query": {sql}}.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, to, data)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close() //nolint:errcheck // only read
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("ClickHouse: %s: %s", answer.Status, text)
	}
	return text, err
}

// blockRows is about how many rows a ready block has: as many as an insert of tollstream, about.
const blockRows = 50_000

// saveBlocks writes the rows of a filled table as blocks, in the order in which they were appended:
// rows that are sorted already would cost the server half as much.
func saveBlocks(ctx context.Context, t *target) error {
	if err := os.MkdirAll(t.blocks, 0o750); err != nil {
		return err
	}
	var end int64
	if err := t.conn.QueryRow(ctx, "SELECT max(offset) + 1 FROM call_copies").Scan(&end); err != nil {
		return err
	}
	width := int64(max(1, blockRows/t.partitions))
	for from := int64(0); from < end; from += width {
		block, err := post(ctx, t.clickhouse, t.database, fmt.Sprintf("SELECT * FROM call_copies "+
			"WHERE offset >= %d AND offset < %d ORDER BY offset, partition FORMAT Native", from,
			from+width), nil)
		if err != nil {
			return err
		}
		name := filepath.Join(t.blocks, fmt.Sprintf("%012d.native", from))
		if err := os.WriteFile(name, block, 0o600); err != nil {
			return err
		}
	}
	return nil
}
