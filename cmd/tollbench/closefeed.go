package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"tollstream/pipeline/billing"
	"tollstream/pipeline/kafkalog"
)

// closeDay is the day on which the accounts open; the next one is measured.
var closeDay = billing.DateOf(2023, time.March, 1)

// closeActions are what each account calls: actions of three billing tags.
var closeActions = [...]string{"IdCardVerification", "BankCardVerification", "PhoneVerification"}

// closeCode is a result code that is charged.
const closeCode = "0"

// closeFeed sends the records of a closing's measurement.
type closeFeed struct {
	producer             *kafkalog.Producer
	accounts, partitions int
	zone                 *time.Location
	events, calls        int // sent so far
	list                 []kafkalog.Outgoing
}

func (f *closeFeed) at(day billing.Day, hour int) billing.Instant {
	return (closeDay + day).Start(f.zone) + billing.Instant(hour)*billing.Hour
}

func closeAccount(i int) string { return strconv.Itoa(1_300_000_000 + i) }

func closeCall(action string, i int) string { return action + "-" + strconv.Itoa(i) }

// open sends the accounts with their money on the first day, and a call in every partition.
func (f *closeFeed) open(ctx context.Context) error {
	at := f.at(0, 1)
	for i := range f.accounts {
		if err := f.event(ctx, at, "account.opened", i, fmt.Sprintf(`,"opened_at":%q`, at)); err != nil {
			return err
		}
		if err := f.event(ctx, at, "balance.topped_up", i, `,"amount":"1000"`); err != nil {
			return err
		}
	}
	return f.everywhere(ctx, f.at(0, 2))
}

// day sends the accounts' calls of the second day.
func (f *closeFeed) day(ctx context.Context) error {
	at := f.at(1, 10)
	for i := range f.accounts {
		for _, action := range closeActions {
			if err := f.call(ctx, i%f.partitions, at, closeCall(action, i), i, action); err != nil {
				return err
			}
		}
	}
	if err := f.event(ctx, at, "postpaid.enabled", 0, ""); err != nil {
		return err
	}
	return f.flush(ctx)
}

// end sends a record of the time after the second day's closing into every partition.
func (f *closeFeed) end(ctx context.Context) error {
	at := f.at(2, 9)
	if err := f.everywhere(ctx, at); err != nil {
		return err
	}
	if err := f.event(ctx, at, "postpaid.enabled", 0, ""); err != nil {
		return err
	}
	return f.flush(ctx)
}

// everywhere sends a call into every partition, with an unknown code: it is free.
func (f *closeFeed) everywhere(ctx context.Context, at billing.Instant) error {
	for p := range f.partitions {
		id := fmt.Sprint(at, "-", p)
		if err := f.record(ctx, callsTopic, p, at, fmt.Sprintf(`{"call_id":%q,"account_id":%q,`+
			`"occurred_at":%q,"action":%q,"result_code":"not-heard-of"}`, id, closeAccount(0), at,
			closeActions[0])); err != nil {
			return err
		}
		f.calls++
	}
	return f.flush(ctx)
}

func (f *closeFeed) event(
	ctx context.Context, at billing.Instant, kind string, i int, more string,
) error {
	f.events++
	return f.record(ctx, eventsTopic, 0, at, fmt.Sprintf(`{"event_id":"%s-%d-%d","type":%q,`+
		`"account_id":%q,"effective_at":%q%s}`, kind, i, at, kind, closeAccount(i), at, more))
}

func (f *closeFeed) call(
	ctx context.Context, partition int, at billing.Instant, id string, i int, action string,
) error {
	f.calls++
	return f.record(ctx, callsTopic, partition, at, fmt.Sprintf(`{"call_id":%q,"account_id":%q,`+
		`"occurred_at":%q,"action":%q,"result_code":%q}`, id, closeAccount(i), at, action, closeCode))
}

func (f *closeFeed) record(
	ctx context.Context, topic string, partition int, at billing.Instant, value string,
) error {
	f.list = append(f.list, kafkalog.Outgoing{Topic: topic, Fixed: true, Partition: partition,
		Value: []byte(value), Time: at.Time()})
	if len(f.list) < sentTogether {
		return nil
	}
	return f.flush(ctx)
}

func (f *closeFeed) flush(ctx context.Context) error {
	err := f.producer.Produce(ctx, f.list...)
	f.list = f.list[:0]
	return err
}
