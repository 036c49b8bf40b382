package settle

import (
	"context"
	"time"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/catalog"
	"tollstream/pipeline/closing"
	"tollstream/pipeline/roster"
	"tollstream/pipeline/stored"
)

// Store is what the settle loop asks of ClickHouse. Reads for a closing see only closings before
// it; writes of a closing may be repeated and give the same rows.
type Store interface {
	// ClosedSettlements gives the closings that are done, in order.
	ClosedSettlements(ctx context.Context) ([]stored.Settlement, error)
	// WriteSettlement records a closing as decided, or with books as done.
	WriteSettlement(ctx context.Context, s *stored.Settlement, books *Books) error
	// For gives the same store with the dimensions and the events of a catalogue.
	For(cat *catalog.Catalog) Store
	// KeepCatalog keeps a catalogue by its digest (B26).
	KeepCatalog(ctx context.Context, cat *catalog.Catalog) error
	// FirstStored gives the first record of each partition of which one is stored.
	FirstStored(ctx context.Context) ([]billing.Arrival, error)
	// Missing gives what is not stored of the records in some ranges of offsets, at most MissingMax
	// entries: offsets of which nothing is known, and records that were delivered and of
	// which a row has gone since.
	Missing(ctx context.Context, ranges []stored.Barrier) ([]Missing, error)
	// TakenShort gives the closings of [from, to] of which fewer calls stand than they took.
	TakenShort(ctx context.Context, from, to billing.Instant) ([]Taken, error)
	// Run gives the offsets of a partition, from one on, that are stored and were appended before a
	// time: from the first to behind the last. Low is High where there are none.
	Run(ctx context.Context, topic string, partition int32, from int64, before billing.Instant) (
		stored.Barrier, error)
	// Kinds tells what delivered records are, or would be, in the books.
	Kinds(ctx context.Context, list []stored.Delivery) ([]Kind, error)
	// AccountEvents gives the stored account events from a position on and, where there is another,
	// below that, in the order of their arrival.
	AccountEvents(ctx context.Context, from, below roster.Position) ([]*billing.AccountEvent, error)

	SaveRoutes(ctx context.Context, at billing.Instant, routes []Route) error
	// DifferingCopies gives, by call id, the open copies of which several different ones exist, among
	// them older ones that closings before wrote as voided.
	DifferingCopies(ctx context.Context, w Window) ([][]stored.Call, error)
	WriteDuplicates(ctx context.Context, at billing.Instant, list []Duplicate) error
	// TakenBefore gives which of an account's calls closings before a time took, those left out
	// that were reversed before that time.
	TakenBefore(ctx context.Context, main string, callIDs []string, before billing.Instant) (
		[]closing.Reversed, error)
	WriteReversed(ctx context.Context, at billing.Instant,
		byAccount map[string][]closing.Reversed) error
	// AccountsDue gives the accounts whose stored state has something due at or before a time.
	AccountsDue(ctx context.Context, at billing.Instant) ([]string, error)
	// Candidates streams the calls that a closing can take, by main account and call order.
	Candidates(ctx context.Context, w Window) (Calls, error)
	// States gives the accounts as the last closing before a time left them.
	States(ctx context.Context, ids []string, before billing.Instant) (map[string][]byte, error)

	// Said gives what was said between closings of accounts' status for instants from since on and
	// is not replaced yet; only records based on closings through base count.
	Said(ctx context.Context, ids []string, since, base billing.Instant) (
		map[string][]billing.StatusChange, error)
	// SaidOf gives the accounts of which Said can give something, and maybe others.
	SaidOf(ctx context.Context, since, base billing.Instant) ([]string, error)
	// WriteSaid keeps records that are about to be published.
	WriteSaid(ctx context.Context, list []billing.StatusChange) error
	// Unpublished gives records based on a closing of which it is not known that they were published.
	Unpublished(ctx context.Context, base billing.Instant) ([]billing.StatusChange, error)
	// MarkSaid notes that every record based on a closing was published.
	MarkSaid(ctx context.Context, base billing.Instant) error
	// StatusDue gives, of the accounts as a closing left them, when time changes a status next.
	StatusDue(ctx context.Context, base billing.Instant) (map[string]billing.Instant, error)

	// ChunkRows gives what stores the chunks of one closing.
	ChunkRows() ChunkRows
	Requalify(ctx context.Context, at billing.Instant, list []Requalified) error
	// BillsOf and StatusOf give what a closing wrote, some together, in the order of the accounts;
	// of an account first corrections, then what is final, then what is provisional.
	BillsOf(ctx context.Context, at billing.Instant, together int,
		each func([]stored.BillText) error) error
	StatusOf(ctx context.Context, at billing.Instant, together int,
		each func([]billing.StatusChange) error) error
	// FinishClosing records the copies that lost to calls taken earlier, and counts the books.
	FinishClosing(ctx context.Context, w Window) (*Books, error)
}

// ChunkRows are what is to be stored of chunks. It costs a store much to be written to, and little
// to be written more at once, so that chunks wait for each other there.
type ChunkRows interface {
	// Add takes a chunk, which is not needed any more then.
	Add(ctx context.Context, chunk *Chunk) error
	// Full tells that so much waits that it is time to store it.
	Full() bool
	// Store stores what waits; none is left then. After an error none of it counts.
	Store(ctx context.Context) error
}

// Calls is a stream of candidates; Next ends with io.EOF.
type Calls interface {
	Next() (stored.Call, error)
	Close() error
}

// Route says which main account an id belongs to.
type Route struct{ AccountID, Main string }

// Window says which stored copies a closing can take: below its barriers, of closed days, not
// taken by a closing before.
type Window struct {
	Settlement  *stored.Settlement
	Moment      closing.Moment
	Since       billing.Instant // copies of known accounts count from here on (WindowStart)
	DayEnd      billing.Instant // the first instant after the day that is closed
	NewAccounts []string        // ids whose calls may have waited since long
	First       bool            // the first closing looks at everything
	Gaps        []stored.Gap    // accepted ones; nothing is stored of what stood there
}

// Duplicate is a copy that differs from the one that counts.
type Duplicate struct {
	Copy, Winner billing.Arrival
	CallID       string
	Conflict     bool // it differs in a billing field
}

// Requalified changes why a record is in quarantine, or takes it out.
type Requalified struct {
	Arrival  billing.Arrival
	Event    *billing.AccountEvent // of an account event
	Refusal  *billing.Refusal      // the new reason, nil where Resolved says what became of it
	Resolved string
}

// State is an account as a closing left it.
type State struct {
	AccountID string
	Cohort    string
	Packages  []closing.Package // as in JSON
	JSON      []byte
	InArrears bool
	Pending   bool            // calls were taken that are not on a bill yet
	DueAt     billing.Instant // when the next closing concerns it even without events and calls
	StatusDue billing.Instant // when time changes its status next, after the closing
}

// Chunk is what a closing writes for some accounts.
type Chunk struct {
	Moment      closing.Moment
	Zone        *time.Location
	Taken       []TakenCall
	Voided      []*billing.CallRecord // copies whose call was taken back before a closing took it
	Bills       []*billing.Bill
	BillTexts   []BillText // of each of the bills
	Ledger      []billing.LedgerEntry
	Status      []billing.StatusChange // final
	Said        []billing.StatusChange // corrections, and what holds from the close time itself on
	States      []State
	Requalified []Requalified
}

// BillText is a bill's canonical JSON, and the part of it that explains each line.
type BillText struct {
	JSON    []byte
	Explain [][]byte
}

// TakenCall is a taken call with its main account.
type TakenCall struct {
	Main string
	Day  billing.Day
	closing.Taken
}

func (t *Totals) add(r *closing.Result) {
	t.Accounts++
	if r.Bill != nil {
		t.Bills++
	}
	t.Calls += r.Charged.Calls
	t.Free += r.Charged.Free
	t.Covered += r.Charged.Covered
	t.Postpaid += r.Charged.Postpaid
	t.Uncovered += r.Charged.Uncovered
	t.UnknownCodes += r.Charged.UnknownCodes
}
