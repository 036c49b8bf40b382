package clickhouse

import (
	"context"
	"runtime"
	"slices"
	"sync"

	"golang.org/x/sync/errgroup"

	"tollstream/pipeline/settle"
)

// chunkRows implements settle.ChunkRows. An INSERT costs the server some ten milliseconds whatever
// it has in it, and every part that it leaves has to be merged, so that rows of several chunks wait
// to be inserted together. Over the driver's native protocol there is no block that was made
// elsewhere, and chunks wait as they are.
type chunkRows struct {
	store  *Store
	driver []*settle.Chunk

	mu     sync.Mutex
	tables map[string]*rowBuffer

	requalified []*settle.Chunk // those that have some; they are few
}

// inserter takes rows for a table: a store, which inserts them, or chunkRows, which keep them.
type inserter interface {
	insert(ctx context.Context, table string, columns []column) error
}

type chunkTable func(context.Context, inserter, *settle.Chunk) error

// bufferBytesMax is how much waits at most before it is stored: the rows of some 35,000 accounts
// with three calls each.
const bufferBytesMax = 240 << 20

// chunkTables write the rows of a chunk, in any order. The states come after them: they say that
// everything else of their accounts is stored.
var chunkTables = []chunkTable{
	writeTaken, writeVoided, writeClosedUsage, writeBills, writeLines, writeEntries, writeStatus,
	writeTakenByLine, writeTotals, writeCounts, writePackages,
}

// stateTables are what writeStates writes.
var stateTables = []string{"account_latest", "account_states"}

// ChunkRows implements settle.Store.
func (s *Store) ChunkRows() settle.ChunkRows {
	return &chunkRows{store: s, tables: map[string]*rowBuffer{}}
}

// Add implements settle.ChunkRows.
func (r *chunkRows) Add(ctx context.Context, c *settle.Chunk) error {
	if r.store.options.Protocol == Native {
		r.driver = append(r.driver, c)
		return nil
	}
	if len(c.Requalified) > 0 {
		r.requalified = append(r.requalified, c)
	}
	group, together := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, write := range append(slices.Clone(chunkTables), writeStates) {
		group.Go(func() error { return write(together, r, c) })
	}
	return group.Wait()
}

// insert implements inserter. One table has one who writes it.
func (r *chunkRows) insert(ctx context.Context, table string, columns []column) error {
	types, err := r.store.columnsOf(ctx, table)
	if err != nil {
		return err
	}
	r.mu.Lock()
	w := r.tables[table]
	if w == nil {
		w = &rowBuffer{table: table, types: types}
		r.tables[table] = w
	}
	r.mu.Unlock()
	return w.add(columns)
}

// Full implements settle.ChunkRows.
func (r *chunkRows) Full() bool {
	bytes := 0
	for _, w := range r.tables {
		bytes += w.bytes()
	}
	return bytes >= bufferBytesMax || len(r.driver) > 0
}

// Store implements settle.ChunkRows.
func (r *chunkRows) Store(ctx context.Context) error {
	for _, c := range r.driver {
		if err := r.store.writeChunk(ctx, c); err != nil {
			return err
		}
	}
	group, together := errgroup.WithContext(ctx)
	group.SetLimit(chunkWritersMax)
	for table, w := range r.tables { // any order
		if !slices.Contains(stateTables, table) {
			group.Go(func() error { return r.store.insertBuffer(together, w) })
		}
	}
	for _, c := range r.requalified {
		group.Go(func() error { return r.store.Requalify(together, c.Moment.At, c.Requalified) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	group, together = errgroup.WithContext(ctx)
	for _, table := range stateTables {
		if w := r.tables[table]; w != nil {
			group.Go(func() error { return r.store.insertBuffer(together, w) })
		}
	}
	if err := group.Wait(); err != nil {
		return err
	}
	r.driver, r.requalified = nil, nil
	for _, w := range r.tables { // each alike
		w.empty()
	}
	return nil
}

func (s *Store) insertBuffer(ctx context.Context, w *rowBuffer) error {
	if w.rows == 0 {
		return nil
	}
	names, body := w.block()
	return s.insertNative(ctx, w.table, names, body)
}

// writeChunk stores one chunk by the driver.
func (s *Store) writeChunk(ctx context.Context, c *settle.Chunk) error {
	group, together := errgroup.WithContext(ctx)
	group.SetLimit(chunkWritersMax)
	for _, write := range chunkTables {
		group.Go(func() error { return write(together, s, c) })
	}
	group.Go(func() error { return s.Requalify(together, c.Moment.At, c.Requalified) })
	if err := group.Wait(); err != nil {
		return err
	}
	return writeStates(ctx, s, c)
}

// chunkWritersMax is how many tables of a chunk are written at a time.
const chunkWritersMax = 4
