package clickhouse

import (
	"context"
	"encoding/binary"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/stored"
)

// blocksKept is of how many blocks the memory is kept for later ones: as many as are made at once.
const blocksKept = 2

// takeBlock gives a block to make, and giveBack takes it back.
func (s *Store) takeBlock() *block {
	select {
	case b := <-s.blocks:
		return b
	default:
		return &block{seen: map[string]uint32{}}
	}
}

func (s *Store) giveBack(b *block) {
	select {
	case s.blocks <- b:
	default:
	}
}

// eachBlock makes the rows of a table into blocks of at most InsertRowsMax rows, and inserts them.
func (s *Store) eachBlock(
	ctx context.Context, table string, rows, columns int,
	write func(b *block, from, below int),
) error {
	if rows == 0 {
		return nil
	}
	types, err := s.columnsOf(ctx, table)
	if err != nil {
		return err
	}
	b := s.takeBlock()
	defer s.giveBack(b)
	for from := 0; from < rows; from += s.options.InsertRowsMax {
		below := min(from+s.options.InsertRowsMax, rows)
		b.begin(types, below-from, columns)
		write(b, from, below)
		if err := s.insertBlock(ctx, table, b); err != nil {
			return err
		}
	}
	return nil
}

// copyColumnsMade and deliveryColumnsMade are how many columns the blocks have.
const (
	copyColumnsMade     = 24
	deliveryColumnsMade = 8
)

// insertCalls writes copies of calls.
func (s *Store) insertCalls(ctx context.Context, c *stored.Calls) error {
	if s.options.Protocol == Native {
		return s.insert(ctx, "call_copies", copyColumns(c, s.options.Dims))
	}
	return s.eachBlock(ctx, "call_copies", c.Len(), copyColumnsMade,
		func(b *block, from, below int) { s.writeCalls(b, c, from, below) })
}

func (s *Store) writeCalls(b *block, c *stored.Calls, from, below int) {
	b.texts("call_id", c.CallID.Range(from, below))
	b.texts("account_id", c.AccountID.Range(from, below))
	b.longs("occurred_at", "DateTime64(6", func(i int) uint64 {
		return uint64(c.OccurredAt[from+i])
	})
	b.dims(c, from, below, s.options.Dims)
	shared := func(name string, value func(s *stored.Shape) string) {
		dictionary(b, name, len(c.Shapes), func(i int) string { return value(c.Shapes[i]) },
			c.Shape[from:below])
	}
	library := func(name string, value func(l *stored.Library) string) {
		dictionary(b, name, len(c.Libraries), func(i int) string { return value(c.Libraries[i]) },
			c.Library[from:below])
	}
	shared("result_code", func(s *stored.Shape) string { return s.ResultCode })
	shared("need_charge", func(s *stored.Shape) string { return s.NeedCharge })
	library("sdk_platform", func(l *stored.Library) string { return l.Platform })
	library("sdk_name", func(l *stored.Library) string { return l.Name })
	library("sdk_version", func(l *stored.Library) string { return l.Version })
	b.longs("billing_hash", "UInt64", func(i int) uint64 { return c.BillingHash[from+i] })
	b.texts("main_account", c.Main.Range(from, below))
	shared("cohort", func(s *stored.Shape) string { return s.Cohort })
	shared("channel", func(s *stored.Shape) string { return s.Channel })
	shared("postpaid_tag", func(s *stored.Shape) string { return string(s.Postpaid) })
	shared("prepaid_tag", func(s *stored.Shape) string { return string(s.Prepaid) })
	shared("legacy_tag", func(s *stored.Shape) string { return string(s.Legacy) })
	flags := func(name string, of func(s *stored.Shape) bool) {
		b.octets(name, "Bool", func(i int) byte {
			if of(c.Shapes[c.Shape[from+i]]) {
				return 1
			}
			return 0
		})
	}
	flags("charged", func(s *stored.Shape) bool { return s.Charged })
	flags("code_known", func(s *stored.Shape) bool { return s.CodeKnown })
	shared("no_tag", func(s *stored.Shape) string { return s.NoTag })
	shared("catalog_digest", func(s *stored.Shape) string { return s.CatalogDigest })
	shared("topic", func(s *stored.Shape) string { return s.Topic })
	b.place(c.Partition[from:below], c.Offset[from:below], c.Appended[from:below])
}

// place writes the columns of where and when records were appended.
func (b *block) place(partition []int32, offset []int64, appended []billing.Instant) {
	b.ints("partition", "Int32", func(i int) uint32 { return uint32(partition[i]) })
	b.longs("offset", "Int64", func(i int) uint64 { return uint64(offset[i]) })
	b.longs("appended_at", "DateTime64(3", func(i int) uint64 {
		return uint64(appended[i] / billing.Millisecond)
	})
}

// dims writes the column of the dimensions, a map from their names to the values that are there.
func (b *block) dims(c *stored.Calls, from, below int, names []string) {
	b.column("dims", "Map(String, String)")
	pairs := make([]pairs, len(c.Shapes))
	for i, s := range c.Shapes {
		pairs[i] = pairsOf(s.Dims, names)
	}
	end := uint64(0)
	for _, place := range c.Shape[from:below] {
		end += pairs[place].n
		b.uint64(end)
	}
	for _, place := range c.Shape[from:below] {
		b.append(pairs[place].names)
	}
	for _, place := range c.Shape[from:below] {
		b.append(pairs[place].values)
	}
}

// pairs are the dimensions of a record as columns of texts.
type pairs struct {
	n             uint64
	names, values []byte
}

func pairsOf(dims, names []string) (p pairs) {
	for i, v := range dims {
		if v != "" {
			p.n++
			p.names = append(binary.AppendUvarint(p.names, uint64(len(names[i]))), names[i]...)
			p.values = append(binary.AppendUvarint(p.values, uint64(len(v))), v...)
		}
	}
	return p
}

// insertDeliveries writes what stood at offsets.
func (s *Store) insertDeliveries(ctx context.Context, d *stored.Deliveries) error {
	if s.options.Protocol == Native {
		return s.insert(ctx, "deliveries", deliveryColumns(d))
	}
	return s.eachBlock(ctx, "deliveries", d.Len(), deliveryColumnsMade,
		func(b *block, from, below int) {
			b.octets("outcome", "Enum8('data' = 1, 'quarantined' = 2, 'aborted' = 3, 'control' = 4, "+
				"'compacted' = 5)", func(i int) byte { return d.Outcome[from+i] + 1 })
			b.longs("id_hash", "UInt64", func(i int) uint64 { return d.IDHash[from+i] })
			b.longs("billing_hash", "UInt64", func(i int) uint64 { return d.BillingHash[from+i] })
			dictionary(b, "reason", len(d.Reasons),
				func(i int) string { return string(d.Reasons[i]) }, d.Reason[from:below])
			dictionary(b, "topic", len(d.Topics), func(i int) string { return d.Topics[i] },
				d.Topic[from:below])
			b.place(d.Partition[from:below], d.Offset[from:below], d.Appended[from:below])
		})
}
