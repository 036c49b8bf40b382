package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/segmentio/kafka-go"
	"github.com/spf13/cobra"
)

// usual is what a Go program usually does: kafka-go's Reader in a consumer group, encoding/json
// into a struct, one Append for each row, one Send for many rows, and then the commit. It tags
// nothing and keeps no books.
type usual struct{}

func (usual) name() string { return "usual Go" }

func (usual) start(ctx context.Context, t *target) (reading, error) {
	p, err := startProcess(t.folder, t.self, "usual", t.broker, t.group, t.clickhouse, t.database)
	if err != nil {
		return nil, err
	}
	return watchGroup(ctx, t, p)
}

// As tollstream's own batches by default.
const (
	usualRows = 50_000
	usualAge  = time.Second
)

// usualCall is a call record as encoding/json reads it.
type usualCall struct {
	CallID        string    `json:"call_id"`
	AccountID     string    `json:"account_id"`
	OccurredAt    time.Time `json:"occurred_at"`
	ResultCode    string    `json:"result_code"`
	NeedCharge    *bool     `json:"need_charge"`
	Channel       string    `json:"channel"`
	Action        string    `json:"action"`
	CompareSource string    `json:"compare_source"`
	Intention     *bool     `json:"intention"`
	Edition       string    `json:"edition"`
	SDK           struct {
		Platform string `json:"platform"`
		Name     string `json:"name"`
		Version  string `json:"version"`
	} `json:"sdk"`
}

// dims are the rating dimensions that the record has.
func (c *usualCall) dims() map[string]string {
	dims := make(map[string]string, 2)
	add := func(name, value string) {
		if value != "" {
			dims[name] = value
		}
	}
	add("channel", c.Channel)
	add("action", c.Action)
	add("compare_source", c.CompareSource)
	add("intention", flagText(c.Intention))
	add("edition", c.Edition)
	return dims
}

func flagText(b *bool) string {
	if b == nil {
		return ""
	}
	return strconv.FormatBool(*b)
}

const usualInsert = `INSERT INTO call_copies (call_id, account_id, occurred_at, dims, result_code,
	need_charge, sdk_platform, sdk_name, sdk_version, topic, partition, offset, appended_at)`

func newUsualCommand() *cobra.Command {
	return &cobra.Command{
		Use: "usual BROKER GROUP CLICKHOUSE DATABASE", Hidden: true, Args: cobra.ExactArgs(4),
		RunE: func(c *cobra.Command, args []string) error {
			conn, err := connect(args[2], args[3])
			if err != nil {
				return err
			}
			reader := kafka.NewReader(kafka.ReaderConfig{Brokers: args[:1], GroupID: args[1],
				Topic: callsTopic, StartOffset: kafka.FirstOffset, MinBytes: 1, MaxBytes: 10 << 20,
				MaxWait: usualAge})
			for {
				if err := usualBatch(c.Context(), reader, conn); err != nil {
					return errors.Join(err, reader.Close(), conn.Close())
				}
			}
		},
	}
}

// usualBatch reads one batch, stores it and commits it.
func usualBatch(ctx context.Context, reader *kafka.Reader, conn driver.Conn) error {
	batch, err := conn.PrepareBatch(ctx, usualInsert)
	if err != nil {
		return err
	}
	defer batch.Close() //nolint:errcheck // Send has the error that counts
	last := map[int]kafka.Message{}
	until, stop := context.WithTimeout(ctx, usualAge)
	defer stop()
	for batch.Rows() < usualRows {
		m, err := reader.FetchMessage(until)
		if errors.Is(err, context.DeadlineExceeded) {
			break
		}
		if err != nil {
			return err
		}
		if err := usualAppend(batch, &m); err != nil {
			return err
		}
		last[m.Partition] = m
	}
	if batch.Rows() == 0 {
		return batch.Abort()
	}
	if err := batch.Send(); err != nil {
		return err
	}
	for _, m := range last { // each partition by itself
		if err := reader.CommitMessages(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

func usualAppend(batch driver.Batch, m *kafka.Message) error {
	var c usualCall
	if err := json.Unmarshal(m.Value, &c); err != nil {
		return fmt.Errorf("record at %d/%d: %w", m.Partition, m.Offset, err)
	}
	return batch.Append(c.CallID, c.AccountID, c.OccurredAt, c.dims(), c.ResultCode,
		flagText(c.NeedCharge), c.SDK.Platform, c.SDK.Name, c.SDK.Version,
		m.Topic, int32(m.Partition), m.Offset, m.Time)
}
