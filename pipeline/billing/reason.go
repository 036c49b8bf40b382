package billing

// Reason says why a record was refused or has to wait. Each has a hint for the person who reads
// the quarantine.
type Reason string

// Reasons for which a record is quarantined. The texts are part of the contract.
const (
	NotJSON           Reason = "not_json"
	ConfluentFramed   Reason = "confluent_framed"
	NotAnObject       Reason = "not_an_object"
	DuplicateKey      Reason = "duplicate_key"
	FieldMissing      Reason = "field_missing"
	FieldType         Reason = "field_type"
	FieldValue        Reason = "field_value"
	FieldTooLong      Reason = "field_too_long"
	RecordTooLarge    Reason = "record_too_large"
	TimeOutOfRange    Reason = "time_out_of_range"
	UnknownAccount    Reason = "unknown_account"
	NoBillingTag      Reason = "no_billing_tag"
	AccountIsClosed   Reason = "account_closed"
	UnknownEventType  Reason = "unknown_event_type"
	OpenedTwice       Reason = "opened_twice"
	IsSubAccount      Reason = "is_sub_account"
	SubAccountTaken   Reason = "sub_account_taken"
	UnknownTag        Reason = "unknown_tag"
	PackageIDTaken    Reason = "package_id_taken"
	TiersRefused      Reason = "tiers_refused"
	UnknownPackage    Reason = "unknown_package"
	RefundFree        Reason = "refund_of_free_package"
	RefundUsed        Reason = "refund_of_used_package"
	RefundTooLate     Reason = "refund_too_late"
	RefundTooEarly    Reason = "refund_before_delivery"
	RefundedTwice     Reason = "refunded_twice"
	RefundBeforeStart Reason = "refund_before_refunds_began"
)

var hints = map[Reason]string{
	NotJSON:           "send one JSON object per record",
	ConfluentFramed:   "the record is schema-registry framed; send plain JSON or enable that format",
	NotAnObject:       "send one JSON object per record",
	DuplicateKey:      "the object names a field twice; send each field once",
	FieldMissing:      "add the field named in the detail and send the record again",
	FieldType:         "send the field in the type that the schema gives",
	FieldValue:        "send a value that the schema allows",
	FieldTooLong:      "shorten the field to the length that the schema gives",
	RecordTooLarge:    "send a smaller record, or raise limits.record_bytes",
	TimeOutOfRange:    "times lie in [2018-01-01, arrival + 24 h]; mend the producer's clock",
	UnknownAccount:    "waits by itself until account.opened or sub_account.added arrives",
	NoBillingTag:      "teach the catalogue this combination, then requeue the quarantine",
	AccountIsClosed:   "the account was closed in an earlier period; reopen it or void the call",
	UnknownEventType:  "use one of the types that the schema lists",
	OpenedTwice:       "the account is open with another opened_at; a cohort never changes",
	IsSubAccount:      "address the main account; a sub-account has no events of its own",
	SubAccountTaken:   "the sub-account belongs to another main account or is one itself",
	UnknownTag:        "use a tag id or a published spelling of the catalogue",
	PackageIDTaken:    "package ids are unique per account; use a new one",
	TiersRefused:      "tiers begin at 0 and rise",
	UnknownPackage:    "no such package was delivered to this account",
	RefundFree:        "free packages have no price to return",
	RefundUsed:        "a package that has deducted calls is not refunded",
	RefundTooLate:     "refunds are possible through the 7th day after delivery",
	RefundTooEarly:    "the refund takes effect before the package's delivery day",
	RefundedTwice:     "the package was refunded before",
	RefundBeforeStart: "there were no refunds before 2020-12-31",
}

// Hint tells what to do about a reason.
func (r Reason) Hint() string { return hints[r] }

// Reasons lists every reason, for documentation and its tests; the order is not defined.
func Reasons() []Reason {
	all := make([]Reason, 0, len(hints))
	for r := range hints { //nolint:maporder // callers sort; nothing billed depends on it
		all = append(all, r)
	}
	return all
}

// Refusal is why one record cannot be used: the reason, and in the detail what was wrong where.
type Refusal struct {
	Reason Reason
	Detail string
}

// Error gives reason and detail on one line.
func (r *Refusal) Error() string { return string(r.Reason) + ": " + r.Detail }

// NotOpen is the refusal of whatever has to wait until its account is known.
func NotOpen(account string) *Refusal {
	return &Refusal{Reason: UnknownAccount, Detail: "account " + account + " is not open"}
}
