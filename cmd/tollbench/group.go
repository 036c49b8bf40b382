package main

import (
	"context"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
)

// groupReading is a contender that reads as a consumer group. It is watched from outside, by what
// the broker knows of the group, so that all contenders are held to the same moments.
type groupReading struct {
	*process // nil where ClickHouse reads
	client   *kafka.Client
	group    string
	parts    []int
	ends     map[int]int64
}

// lookEvery is how exact the moments are at which a reading begins and is done.
const lookEvery = 20 * time.Millisecond

// watchGroup makes the reading of a process that is a member of the target's group.
func watchGroup(ctx context.Context, t *target, p *process) (*groupReading, error) {
	g := &groupReading{process: p, group: t.group, ends: map[int]int64{},
		client: &kafka.Client{Addr: kafka.TCP(t.broker), Timeout: 10 * time.Second}}
	var ask []kafka.OffsetRequest
	for i := range t.partitions {
		g.parts, ask = append(g.parts, i), append(ask, kafka.LastOffsetOf(i))
	}
	answer, err := g.client.ListOffsets(ctx, &kafka.ListOffsetsRequest{
		Topics: map[string][]kafka.OffsetRequest{callsTopic: ask}})
	if err != nil {
		return nil, fmt.Errorf("ask where the topic ends: %w", err)
	}
	for _, p := range answer.Topics[callsTopic] {
		g.ends[p.Partition] = p.LastOffset
	}
	return g, nil
}

func (g *groupReading) pid() int {
	if g.process == nil {
		return 0
	}
	return g.process.pid()
}

func (g *groupReading) stop() {
	if g.process != nil {
		g.process.stop()
	}
}

// began waits until the group's members have their partitions.
func (g *groupReading) began(ctx context.Context) error {
	return g.until(ctx, "join", func() (bool, error) {
		answer, err := g.client.DescribeGroups(ctx,
			&kafka.DescribeGroupsRequest{GroupIDs: []string{g.group}})
		if err != nil {
			return false, err
		}
		// The library cannot read what members of ClickHouse say of themselves; the state is enough.
		return answer.Groups[0].GroupState == "Stable", nil
	})
}

// done waits until the offsets that the group has committed are the ends of the partitions.
func (g *groupReading) done(ctx context.Context) error {
	return g.until(ctx, "commit everything", func() (bool, error) {
		answer, err := g.client.OffsetFetch(ctx, &kafka.OffsetFetchRequest{GroupID: g.group,
			Topics: map[string][]int{callsTopic: g.parts}})
		if err != nil {
			return false, err
		}
		for _, p := range answer.Topics[callsTopic] {
			if p.CommittedOffset < g.ends[p.Partition] {
				return false, nil
			}
		}
		return len(answer.Topics[callsTopic]) == len(g.parts), nil
	})
}

// until looks again and again.
func (g *groupReading) until(ctx context.Context, what string, look func() (bool, error)) error {
	var exited <-chan struct{}
	if g.process != nil {
		exited = g.exited
	}
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		ok, err := look()
		if ok {
			return nil
		}
		select {
		case <-tick.C:
		case <-exited:
			return g.ended()
		case <-ctx.Done():
			return fmt.Errorf("group %s did not %s: %w (last error: %v)", g.group, what, ctx.Err(), err)
		}
	}
}
