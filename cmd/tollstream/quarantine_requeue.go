package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/kafkalog"
	"tollstream/pipeline/stored"
	"tollstream/sinks/clickhouse"
)

// requeueBytesMax bounds a record that is sent again, with its key and headers: what a producer
// sends and a broker takes unless told otherwise, less a little. A call has some hundred bytes.
const requeueBytesMax = 900_000

// requeueTogether is how many records are sent and marked at once. A crash repeats at most these.
const requeueTogether = 500

// requeueFlags choose the records to send again.
type requeueFlags struct {
	reason, account, since, until string
	limit                         int
	all, dryRun                   bool
}

func newQuarantineRequeueCommand(open storeOpener) *cobra.Command {
	var f requeueFlags
	c := &cobra.Command{
		Use:   "requeue [--reason R] [--account A] [--since TIME] [--until TIME] [--limit N]",
		Short: "Send quarantined records through the pipeline again",
		Long: `Produces the bytes and the key of quarantined records to the topic and partition from which
they came, as new records with the header requeued-from, and then marks them as requeued. A record
that is still wrong comes into quarantine again, at its new place. Calls and events of an unknown
account act by themselves once it opens: they are sent only with --reason unknown_account.`,
		Example: "  tollstream quarantine requeue --reason no_billing_tag --dry-run",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			choice, err := f.choice()
			if err != nil {
				return err
			}
			return open.with(func(
				ctx context.Context, c *cobra.Command, s *clickhouse.Store, _ *time.Location,
			) error {
				cfg, err := loadConfig(c)
				if err != nil {
					return err
				}
				return requeue(ctx, cfg, s, choice, c.OutOrStdout())
			})(c)
		},
	}
	fl := c.Flags()
	fl.StringVar(&f.reason, "reason", "", "only records refused for this reason")
	fl.StringVar(&f.account, "account", "", "only records that name this account")
	fl.StringVar(&f.since, "since", "", "only records appended since then, RFC 3339")
	fl.StringVar(&f.until, "until", "", "only records appended before then, RFC 3339")
	fl.IntVar(&f.limit, "limit", 10_000, "most records to send, oldest first")
	fl.BoolVar(&f.all, "all", false, "send all records; needed where nothing else chooses")
	fl.BoolVar(&f.dryRun, "dry-run", false, "only say what would be sent")
	return c
}

// requeueChoice is a checked choice of records.
type requeueChoice struct {
	filter clickhouse.QuarantineFilter
	until  billing.Instant // 0 is open
	dryRun bool
}

func (f *requeueFlags) choice() (requeueChoice, error) {
	out := requeueChoice{dryRun: f.dryRun}
	if f.reason == "" && f.account == "" && f.since == "" && f.until == "" && !f.all {
		return out, commandLine{errors.New("choose records with --reason, --account, --since or " +
			"--until, or say --all")}
	}
	if f.limit < 1 {
		return out, fmt.Errorf("--limit %d is not above 0: %w", f.limit, errUsage)
	}
	var err error
	if out.filter, err = quarantineFilter(f.reason, f.account, f.since); err != nil {
		return out, err
	}
	if f.until != "" {
		if out.until, err = billing.ParseInstant(f.until); err != nil {
			return out, fmt.Errorf("--until: %w: %w", err, errUsage)
		}
	}
	out.filter.Limit = f.limit
	return out, nil
}

// requeue sends records again and says what it did.
func requeue(
	ctx context.Context, cfg *Config, s *clickhouse.Store, choice requeueChoice, w io.Writer,
) error {
	records, err := s.Quarantine(ctx, choice.filter)
	if err != nil {
		return err
	}
	full := len(records) == choice.filter.Limit
	found := len(records)
	records = slices.DeleteFunc(records, func(r stored.Quarantined) bool {
		return choice.until != 0 && r.Arrival.Appended >= choice.until
	})
	full = full && len(records) == found // what --until cuts off are the youngest
	found = len(records)
	if choice.filter.Reason != billing.UnknownAccount {
		records = slices.DeleteFunc(records, func(r stored.Quarantined) bool {
			return r.Refusal.Reason == billing.UnknownAccount
		})
	}
	waiting := found - len(records)
	found = len(records)
	records = slices.DeleteFunc(records, tooLarge)
	large := found - len(records)
	records, refused, err := withBytes(ctx, s, records)
	if err != nil {
		return err
	}
	verb := "requeued"
	if choice.dryRun {
		verb = "would requeue"
	} else if len(records) > 0 {
		if err := sendAgain(ctx, cfg, s, records); err != nil {
			return err
		}
	}
	if err := reportRequeued(w, verb, records, waiting); err != nil {
		return err
	}
	if full {
		fmt.Fprintf(w, "there may be more: --limit is %d\n", choice.filter.Limit)
	}
	if large > 0 {
		fmt.Fprintf(w, "left %d records of more than %d bytes; the producer has to send smaller ones\n",
			large, requeueBytesMax)
	}
	if refused > 0 {
		return fmt.Errorf("%d records cannot be requeued: their bytes were redacted; the producer has "+
			"to send them again, and the table redacted_records has their hashes", refused)
	}
	return nil
}

// tooLarge tells records that would hold up those that are sent together with them.
func tooLarge(r stored.Quarantined) bool {
	size := len(r.Key) + len(r.Value)
	for name, value := range r.Headers { // their order does not matter
		size += len(name) + len(value)
	}
	return size > requeueBytesMax
}

// withBytes leaves out records that were redacted, and counts them.
func withBytes(
	ctx context.Context, s *clickhouse.Store, records []stored.Quarantined,
) ([]stored.Quarantined, int, error) {
	places := make([]billing.Arrival, len(records))
	for i := range records {
		places[i] = records[i].Arrival
	}
	redacted, err := s.RedactedOf(ctx, places)
	if err != nil {
		return nil, 0, err
	}
	left := slices.DeleteFunc(records, func(r stored.Quarantined) bool {
		_, gone := redacted[r.Arrival.Place()]
		return gone
	})
	return left, len(places) - len(left), nil
}

// reportRequeued counts records by topic and reason.
func reportRequeued(w io.Writer, verb string, records []stored.Quarantined, waiting int) error {
	counts := map[string]int{}
	for i := range records {
		r := &records[i]
		counts[fmt.Sprintf("to %s: %s", r.Arrival.Log(), r.Refusal.Reason)]++
	}
	if _, err := fmt.Fprintf(w, "%s %d records\n", verb, len(records)); err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(counts)) {
		if _, err := fmt.Fprintf(w, "  %d %s\n", counts[key], key); err != nil {
			return err
		}
	}
	if waiting == 0 {
		return nil
	}
	_, err := fmt.Fprintf(w, "left %d records that wait for an account to open; they act by "+
		"themselves then (--reason %s sends them all the same)\n", waiting, billing.UnknownAccount)
	return err
}

// sendAgain produces records and then marks them as requeued, some together. The order matters: a
// crash between the two repeats records, which their call_id and event_id make harmless (B4); the
// other order would lose them.
func sendAgain(
	ctx context.Context, cfg *Config, s *clickhouse.Store, records []stored.Quarantined,
) error {
	k := &cfg.Kafka
	transport, err := k.Transport()
	if err != nil {
		return err
	}
	log, err := kafkalog.New(kafkalog.Options{Brokers: k.Brokers, Transport: transport,
		ClientID: k.ClientID, RetryFor: startWait, MaxWait: k.Fetch.MaxWait})
	if err != nil {
		return err
	}
	defer log.Close()
	producer, err := kafkalog.NewProducer(kafkalog.ProducerOptions{Brokers: k.Brokers,
		Transport: transport, ClientID: k.ClientID})
	if err != nil {
		return err
	}
	defer producer.Close() //nolint:errcheck // Produce has waited for everything
	times, err := newAppendTimes(ctx, log, s, cfg.Time.Mode == modeSimulated)
	if err != nil {
		return err
	}
	done := 0
	for chunk := range slices.Chunk(records, requeueTogether) {
		out := make([]kafkalog.Outgoing, len(chunk))
		for i := range chunk {
			at, err := times.of(ctx, chunk[i].Arrival)
			if err != nil {
				return fmt.Errorf("requeue: %d of %d records were sent: %w", done, len(records), err)
			}
			out[i] = outgoing(&chunk[i], at)
		}
		if err := producer.Produce(ctx, out...); err != nil {
			return fmt.Errorf("requeue: %d of %d records were sent and marked, run it again for the "+
				"rest: %w", done, len(records), err)
		}
		if err := s.ResolveRequeued(ctx, requeued(chunk)); err != nil {
			return fmt.Errorf("requeue: %d records were sent and are not marked, running it again "+
				"sends them again, which is harmless: %w", len(chunk), err)
		}
		done += len(chunk)
	}
	return nil
}

func requeued(records []stored.Quarantined) []stored.Requeued {
	out := make([]stored.Requeued, len(records))
	for i := range records {
		r := &records[i]
		out[i] = stored.Requeued{Topic: r.Arrival.Topic, Partition: r.Arrival.Partition,
			Offset: r.Arrival.Offset, ValueHash: stored.ValueHash(r.Value)}
	}
	return out
}

// outgoing is a quarantined record as it is sent again: to its old partition, so that it keeps its
// order among the records of its key even where topics have grown since.
func outgoing(r *stored.Quarantined, at time.Time) kafkalog.Outgoing {
	o := kafkalog.Outgoing{Topic: stored.TopicOf(r.Arrival.Topic), Fixed: true,
		Partition: int(r.Arrival.Partition),
		Value:     r.Value, Time: at}
	if len(r.Key) > 0 { // the quarantine does not tell no key from an empty one
		o.Key = r.Key
	}
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		if name != stored.RequeuedFrom { // of an earlier time; that row of the quarantine has it
			o.Headers = append(o.Headers, kafkalog.Header{Key: name, Value: []byte(r.Headers[name])})
		}
	}
	o.Headers = append(o.Headers,
		kafkalog.Header{Key: stored.RequeuedFrom, Value: []byte(r.Arrival.Place())})
	return o
}

// appendTimes says at which time records are sent again. A broker with LogAppendTime puts its own
// clock in place of any time. In simulated time the producer's time stands, and there it is the
// last time of the partition or that of the last closing, whichever is later. With an earlier one
// the log's times would go back, and a barrier that is found by time would cut between records that
// arrived in another order; or the closings to come would find the record too old to look at. With
// the clock on the wall, years later perhaps, every closing up to that day would find itself due.
// Either way the record stands beyond every barrier that is fixed, so it is late like any other
// (B19).
type appendTimes struct {
	log       *kafkalog.Client
	simulated bool
	closed    time.Time // nominal time of the last closing
	known     map[string]time.Time
}

func newAppendTimes(
	ctx context.Context, log *kafkalog.Client, s *clickhouse.Store, simulated bool,
) (*appendTimes, error) {
	a := &appendTimes{log: log, simulated: simulated, known: map[string]time.Time{}}
	closings, err := s.ClosedSettlements(ctx)
	if n := len(closings); n > 0 {
		a.closed = closings[n-1].ClosedAt.Time()
	}
	return a, err
}

func (a *appendTimes) of(ctx context.Context, at billing.Arrival) (time.Time, error) {
	if !a.simulated {
		return time.Time{}, nil // the producer's now, which the broker replaces
	}
	if t, ok := a.known[at.Log()]; ok {
		return t, nil
	}
	last := at.Appended.Time()
	if a.closed.After(last) {
		last = a.closed
	}
	topic := stored.TopicOf(at.Topic)
	start, _, stable, err := a.log.Offsets(ctx, topic, int(at.Partition))
	if err != nil {
		return last, err
	}
	if stable > start {
		got, err := a.log.Fetch(ctx, topic, int(at.Partition), stable-1)
		if err != nil {
			return last, err
		}
		for i := range got.Records {
			if t := got.Records[i].AppendTime; t.After(last) {
				last = t
			}
		}
		got.Release()
	}
	a.known[at.Log()] = last
	return last, nil
}
