package stored

import (
	"bytes"
	"encoding/binary"
	"strings"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/tagging"
)

// Calls are copies of calls, by column: many take little memory, and go to the store as they are.
// What few values occur of is kept once for all calls, as a Shape. The shapes of one Calls are all
// of one Shapes.
type Calls struct {
	Shapes      []*Shape   // those that occur
	Shape       []uint32   // of each call, by its place in Shapes
	Libraries   []*Library // those that occur
	Library     []uint32   // of each call, by its place in Libraries
	Accounts    []*Account // those that occur
	Account     []uint32   // of each call, by its place in Accounts
	CallID      Texts
	OccurredAt  []billing.Instant
	Appended    []billing.Instant
	Partition   []int32
	Offset      []int64
	BillingHash []uint64 // BillingHasher.Sum

	shapes, libraries, accounts places
}

// places are, by the number of a thing, its place in a list and one; 0 where it is not there.
type places []uint32

// of gives the place of a thing, and whether it has to be put there first.
func (p *places) of(number, end int) (place uint32, isNew bool) {
	if number >= len(*p) {
		*p = append(*p, make([]uint32, number+1-len(*p))...)
	}
	if (*p)[number] == 0 {
		(*p)[number], isNew = uint32(end+1), true
	}
	return (*p)[number] - 1, isNew
}

// Shape is what many calls have in common: all of a Call but ids, times, place and library. It is
// not changed once it is made.
type Shape struct {
	Topic      string
	Dims       []string
	ResultCode string
	NeedCharge string
	tagging.Judgement
	Cohort        string
	CatalogDigest string

	number int
}

// Library is a client library that made calls. It is no part of a Shape: each would be there once
// for every library. It is not changed once it is made.
type Library struct {
	billing.SDK
	number int
}

// Account is an id that made calls, and its main account, "" while that is unknown. It is not
// changed once it is made.
type Account struct {
	ID, Main string
	number   int
}

// Number numbers the accounts of one Shapes in the order in which they were made, from 0 on.
func (a *Account) Number() int { return a.number }

// CallRow is one call, apart from what it shares with others.
type CallRow struct {
	CallID      string
	OccurredAt  billing.Instant
	Arrival     billing.Arrival
	BillingHash uint64
}

// Len is the number of calls.
func (c *Calls) Len() int { return len(c.Shape) }

// Add adds a call.
func (c *Calls) Add(s *Shape, l *Library, a *Account, r *CallRow) {
	place, isNew := c.shapes.of(s.number, len(c.Shapes))
	if isNew {
		c.Shapes = append(c.Shapes, s)
	}
	c.Shape = append(c.Shape, place)
	if place, isNew = c.libraries.of(l.number, len(c.Libraries)); isNew {
		c.Libraries = append(c.Libraries, l)
	}
	c.Library = append(c.Library, place)
	if place, isNew = c.accounts.of(a.number, len(c.Accounts)); isNew {
		c.Accounts = append(c.Accounts, a)
	}
	c.Account = append(c.Account, place)
	c.CallID.Add(r.CallID)
	c.OccurredAt = append(c.OccurredAt, r.OccurredAt)
	c.Appended = append(c.Appended, r.Arrival.Appended)
	c.Partition = append(c.Partition, r.Arrival.Partition)
	c.Offset = append(c.Offset, r.Arrival.Offset)
	c.BillingHash = append(c.BillingHash, r.BillingHash)
}

// At gives the call in a row, without its bytes.
func (c *Calls) At(i int) Call {
	s, a := c.Shapes[c.Shape[i]], c.Accounts[c.Account[i]]
	return Call{
		CallRecord: billing.CallRecord{
			CallID: c.CallID.At(i), AccountID: a.ID, OccurredAt: c.OccurredAt[i],
			Dims: s.Dims, ResultCode: s.ResultCode, NeedCharge: s.NeedCharge,
			SDK: c.Libraries[c.Library[i]].SDK,
			Arrival: billing.Arrival{Appended: c.Appended[i], Topic: s.Topic,
				Partition: c.Partition[i], Offset: c.Offset[i]},
		},
		Judgement: s.Judgement, Main: a.Main, Cohort: s.Cohort, CatalogDigest: s.CatalogDigest,
	}
}

// Rows gives all calls, without their bytes.
func (c *Calls) Rows() []Call {
	rows := make([]Call, c.Len())
	for i := range rows {
		rows[i] = c.At(i)
	}
	return rows
}

// Reset takes all calls away, and keeps the memory for others.
func (c *Calls) Reset() {
	for _, s := range c.Shapes {
		c.shapes[s.number] = 0
	}
	for _, l := range c.Libraries {
		c.libraries[l.number] = 0
	}
	for _, a := range c.Accounts {
		c.accounts[a.number] = 0
	}
	c.CallID.Reset()
	c.Accounts, c.Account = c.Accounts[:0], c.Account[:0]
	c.Shapes, c.Shape, c.OccurredAt = c.Shapes[:0], c.Shape[:0], c.OccurredAt[:0]
	c.Appended, c.Partition, c.Offset = c.Appended[:0], c.Partition[:0], c.Offset[:0]
	c.BillingHash, c.Libraries, c.Library = c.BillingHash[:0], c.Libraries[:0], c.Library[:0]
}

// Texts is a column of texts, of less than 4 GiB together.
type Texts struct {
	// bytes has the texts one behind the other, each after its length as a varint. That is the form
	// in which ClickHouse takes them.
	bytes []byte
	ends  []uint32
}

// Add adds a text.
func (t *Texts) Add(s string) {
	t.bytes = binary.AppendUvarint(t.bytes, uint64(len(s)))
	t.bytes = append(t.bytes, s...)
	t.ends = append(t.ends, uint32(len(t.bytes)))
}

// At gives the text in a row.
func (t *Texts) At(i int) string { return string(t.plain(i)) }

// Compare says which of the texts in two rows comes first, by their bytes.
func (t *Texts) Compare(i, j int) int { return bytes.Compare(t.plain(i), t.plain(j)) }

// plain is the text in a row without its length.
func (t *Texts) plain(i int) []byte {
	raw := t.Range(i, i+1)
	_, n := binary.Uvarint(raw)
	return raw[n:]
}

// Range gives the bytes of the rows from one on and below another.
func (t *Texts) Range(from, below int) []byte { return t.bytes[t.start(from):t.start(below)] }

func (t *Texts) start(i int) uint32 {
	if i == 0 {
		return 0
	}
	return t.ends[i-1]
}

// Reset takes all texts away.
func (t *Texts) Reset() { t.bytes, t.ends = t.bytes[:0], t.ends[:0] }

// Shapes makes the shapes, libraries and accounts of calls, each once. It is not safe for
// concurrent use; what it makes is.
type Shapes struct {
	hasher    *BillingHasher
	known     map[string]*Shape // by everything that they say
	libraries map[billing.SDK]*Library
	accounts  map[string]*Account // the last one of each id
	fresh     []Account           // those that are made next, which take less memory together
	made      int                 // accounts
	key       []byte
}

// freshTogether is how many accounts take their memory at once.
const freshTogether = 512

// NewShapes takes the names of the dimensions, in the order in which records have them.
func NewShapes(dims []string) *Shapes {
	return &Shapes{hasher: NewBillingHasher(dims), known: map[string]*Shape{},
		libraries: map[billing.SDK]*Library{}, accounts: map[string]*Account{}}
}

// Len is how many shapes and libraries were made.
func (s *Shapes) Len() int { return len(s.known) + len(s.libraries) }

// Accounts is how many accounts were made.
func (s *Shapes) Accounts() int { return s.made }

// LastAccount gives the last account of an id, or nil.
func (s *Shapes) LastAccount(id string) *Account { return s.accounts[id] }

// Account gives an account: another one of the same id where its main account is another, which is
// so once the id becomes known. Its id is a text of its own, and so is a main account of the same
// text; any other is kept as it is.
func (s *Shapes) Account(id, main string) *Account {
	last := s.accounts[id]
	if last != nil && last.Main == main {
		return last
	}
	if last == nil {
		id = strings.Clone(id)
	} else {
		id = last.ID
	}
	if main == id {
		main = id
	}
	if len(s.fresh) == 0 {
		s.fresh = make([]Account, freshTogether)
	}
	a := &s.fresh[0]
	s.fresh = s.fresh[1:]
	*a = Account{id, main, s.made}
	s.made++
	s.accounts[id] = a
	return a
}

// Add adds a call to others.
func (s *Shapes) Add(to *Calls, c *Call) {
	to.Add(s.Of(c), s.Library(c.SDK), s.Account(c.AccountID, c.Main), &CallRow{CallID: c.CallID,
		OccurredAt: c.OccurredAt, Arrival: c.Arrival, BillingHash: s.hasher.Sum(&c.CallRecord)})
}

// Library gives a client library. It has texts of its own.
func (s *Shapes) Library(sdk billing.SDK) *Library {
	l := s.libraries[sdk]
	if l == nil {
		sdk = billing.SDK{Platform: strings.Clone(sdk.Platform), Name: strings.Clone(sdk.Name),
			Version: strings.Clone(sdk.Version)}
		l = &Library{sdk, len(s.libraries)}
		s.libraries[sdk] = l
	}
	return l
}

// Of gives the shape of a call. It has texts of its own.
func (s *Shapes) Of(c *Call) *Shape {
	s.key = s.key[:0]
	texts := [...]*string{&c.Arrival.Topic, &c.ResultCode, &c.NeedCharge,
		&c.Judgement.Channel, (*string)(&c.Postpaid), (*string)(&c.Prepaid), (*string)(&c.Legacy),
		&c.CodeTable, &c.NoTag, &c.Cohort, &c.CatalogDigest}
	for _, t := range texts {
		s.key = AppendText(s.key, *t)
	}
	for _, b := range [...]bool{c.Charged, c.CodeKnown, c.FreeAction} {
		s.key = append(s.key, flagByte(b))
	}
	for _, d := range c.Dims {
		s.key = AppendText(s.key, d)
	}
	if known := s.known[string(s.key)]; known != nil {
		return known
	}
	made := &Shape{Topic: c.Arrival.Topic, ResultCode: c.ResultCode, NeedCharge: c.NeedCharge,
		Judgement: c.Judgement, Cohort: c.Cohort, CatalogDigest: c.CatalogDigest,
		Dims: append([]string(nil), c.Dims...), number: len(s.known)}
	for _, t := range [...]*string{&made.Topic, &made.ResultCode, &made.NeedCharge,
		&made.NoTag} {
		*t = strings.Clone(*t)
	}
	for i := range made.Dims {
		made.Dims[i] = strings.Clone(made.Dims[i])
	}
	s.known[string(s.key)] = made
	return made
}

func flagByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}
