package clickhouse

import (
	"cmp"
	"context"
	"slices"
	"strings"

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
		return newBlock()
	}
}

func (s *Store) giveBack(b *block) {
	clear(b.parts) // they hold on to the rows
	select {
	case s.blocks <- b:
	default:
	}
}

// eachBlock makes the rows of a table into blocks of at most blockRowsMax rows, each in an order
// of its own, and inserts them. A block whose insert failed is not used again: the connection may
// still be reading from it.
func (s *Store) eachBlock(
	ctx context.Context, table string, rows int,
	order func(b *block, from, below int), write func(b *block),
) error {
	if rows == 0 {
		return nil
	}
	types, err := s.columnsOf(ctx, table)
	if err != nil {
		return err
	}
	b, most := s.takeBlock(), cmp.Or(s.blockRowsMax, blockRowsMax)
	for from := 0; from < rows; from += most {
		order(b, from, min(from+most, rows))
		b.begin(types)
		write(b)
		if err := s.insertBlock(ctx, table, b); err != nil {
			return err
		}
	}
	s.giveBack(b)
	return nil
}

// blockRowsMax is how many rows ingest inserts at once at most. The server makes a part of a table
// of them, and cuts what is larger than about a million.
const blockRowsMax = 1_000_000

// insertCalls writes copies of calls.
func (s *Store) insertCalls(ctx context.Context, c *stored.Calls) error {
	if s.options.Protocol == Native {
		return s.insert(ctx, "call_copies", copyColumns(c, s.options.Dims))
	}
	return s.eachBlock(ctx, "call_copies", c.Len(),
		func(b *block, from, below int) { b.orderCalls(c, from, below) },
		func(b *block) { s.writeCalls(b, c) })
}

// orderCalls puts calls in the order of their table's key.
func (b *block) orderCalls(c *stored.Calls, from, below int) {
	b.order = b.sorter.sort(b.order, from, below, len(c.Accounts),
		func(row int) uint32 { return c.Account[row] },
		func(i, j uint32) int { return strings.Compare(c.Accounts[i].ID, c.Accounts[j].ID) },
		func(i, j uint32) int {
			if by := cmp.Compare(c.OccurredAt[i], c.OccurredAt[j]); by != 0 {
				return by
			}
			return cmp.Or(c.CallID.Compare(int(i), int(j)),
				cmp.Compare(c.BillingHash[i], c.BillingHash[j]),
				strings.Compare(c.Shapes[c.Shape[i]].Topic, c.Shapes[c.Shape[j]].Topic))
		})
}

func (s *Store) writeCalls(b *block, c *stored.Calls) {
	b.texts("call_id", &c.CallID)
	account := func(name string, value func(a *stored.Account) string) {
		b.sharedTexts(name, len(c.Accounts), func(i int) string { return value(c.Accounts[i]) },
			c.Account)
	}
	account("account_id", func(a *stored.Account) string { return a.ID })
	longs(b, "occurred_at", "DateTime64(6", c.OccurredAt)
	b.dims(c, s.options.Dims)
	shared := func(name string, value func(s *stored.Shape) string) {
		dictionary(b, name, len(c.Shapes), func(i int) string { return value(c.Shapes[i]) },
			c.Shape)
	}
	library := func(name string, value func(l *stored.Library) string) {
		dictionary(b, name, len(c.Libraries), func(i int) string { return value(c.Libraries[i]) },
			c.Library)
	}
	shared("result_code", func(s *stored.Shape) string { return s.ResultCode })
	shared("need_charge", func(s *stored.Shape) string { return s.NeedCharge })
	library("sdk_platform", func(l *stored.Library) string { return l.Platform })
	library("sdk_name", func(l *stored.Library) string { return l.Name })
	library("sdk_version", func(l *stored.Library) string { return l.Version })
	longs(b, "billing_hash", "UInt64", c.BillingHash)
	account("main_account", func(a *stored.Account) string { return a.Main })
	shared("cohort", func(s *stored.Shape) string { return s.Cohort })
	shared("channel", func(s *stored.Shape) string { return s.Channel })
	shared("postpaid_tag", func(s *stored.Shape) string { return string(s.Postpaid) })
	shared("prepaid_tag", func(s *stored.Shape) string { return string(s.Prepaid) })
	shared("legacy_tag", func(s *stored.Shape) string { return string(s.Legacy) })
	flags := func(name string, of func(s *stored.Shape) bool) {
		b.octets(name, "Bool", func(row uint32) byte {
			return octet(of(c.Shapes[c.Shape[row]]))
		})
	}
	flags("charged", func(s *stored.Shape) bool { return s.Charged })
	flags("code_known", func(s *stored.Shape) bool { return s.CodeKnown })
	shared("no_tag", func(s *stored.Shape) string { return s.NoTag })
	shared("catalog_digest", func(s *stored.Shape) string { return s.CatalogDigest })
	shared("topic", func(s *stored.Shape) string { return s.Topic })
	b.place(c.Partition, c.Offset, c.Appended)
}

// place writes the columns of where and when records were appended.
func (b *block) place(partition []int32, offset []int64, appended []billing.Instant) {
	b.ints("partition", "Int32", partition)
	longs(b, "offset", "Int64", offset)
	b.column("appended_at", "DateTime64(3", nil, func(order []uint32) {
		for _, row := range order {
			b.uint64(uint64(appended[row] / billing.Millisecond))
		}
	})
}

// dims adds the column of the dimensions, a map from their names to the values that are there:
// where each map ends, all names, all values.
func (b *block) dims(c *stored.Calls, names []string) {
	var pairs []pairs // by shape
	end := uint64(0)
	b.column("dims", "Map(String, String)", func() {
		for _, s := range c.Shapes {
			pairs = append(pairs, pairsOf(s.Dims, names))
		}
	}, func(order []uint32) {
		for _, row := range order {
			end += pairs[c.Shape[row]].n
			b.uint64(end)
		}
	})
	b.add(nil, func(order []uint32) {
		for _, row := range order {
			b.append(pairs[c.Shape[row]].names)
		}
	})
	b.add(nil, func(order []uint32) {
		for _, row := range order {
			b.append(pairs[c.Shape[row]].values)
		}
	})
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
			p.names, p.values = appendText(p.names, names[i]), appendText(p.values, v)
		}
	}
	return p
}

// insertDeliveries writes what stood at offsets.
func (s *Store) insertDeliveries(ctx context.Context, d *stored.Deliveries) error {
	if s.options.Protocol == Native {
		return s.insert(ctx, "deliveries", deliveryColumns(d))
	}
	return s.eachBlock(ctx, "deliveries", d.Len(),
		func(b *block, from, below int) { b.orderDeliveries(d, from, below) },
		func(b *block) { writeDeliveries(b, d) })
}

func (b *block) orderDeliveries(d *stored.Deliveries, from, below int) {
	partitions, topics := uint32(slices.Max(d.Partition))+1, uint32(len(d.Topics))
	b.order = b.sorter.sort(b.order, from, below, int(partitions*topics),
		func(row int) uint32 { return uint32(d.Topic[row])*partitions + uint32(d.Partition[row]) },
		func(i, j uint32) int {
			return cmp.Or(strings.Compare(d.Topics[i/partitions], d.Topics[j/partitions]),
				cmp.Compare(i%partitions, j%partitions))
		}, nil)
}

func writeDeliveries(b *block, d *stored.Deliveries) {
	b.octets("outcome", "Enum8('data' = 1, 'quarantined' = 2, 'aborted' = 3, 'control' = 4, "+
		"'compacted' = 5)", func(row uint32) byte { return d.Outcome[row] + 1 })
	longs(b, "id_hash", "UInt64", d.IDHash)
	longs(b, "billing_hash", "UInt64", d.BillingHash)
	dictionary(b, "reason", len(d.Reasons), func(i int) string { return string(d.Reasons[i]) },
		d.Reason)
	dictionary(b, "topic", len(d.Topics), func(i int) string { return d.Topics[i] }, d.Topic)
	b.place(d.Partition, d.Offset, d.Appended)
}
