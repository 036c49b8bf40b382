package main

import (
	"context"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
)

// host is the first member of a consumer group, which keeps all partitions to itself until the
// others have come. When it leaves they begin at one moment, each with its share; without it the
// first of them would read everything until the brokers tell it that it is not alone.
type host struct {
	leave func() // lets the others begin; once is enough
}

// openHost joins the target's group.
func openHost(ctx context.Context, t *target) (*host, error) {
	group, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{ID: t.group,
		Brokers: []string{t.broker}, Topics: []string{callsTopic},
		GroupBalancers: []kafka.GroupBalancer{hostTakesAll{}}, HeartbeatInterval: time.Second / 2})
	if err != nil {
		return nil, err
	}
	ctx, done := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for { // each generation ends when a member comes
			if _, err := group.Next(ctx); ctx.Err() != nil || err == kafka.ErrGroupClosed {
				return
			}
		}
	}()
	return &host{leave: sync.OnceFunc(func() {
		done()
		<-ended
		_ = group.Close()
	})}, nil
}

// hostTakesAll is what the host says as the leader of the group. By its name it is the protocol
// that the program's members know.
type hostTakesAll struct{}

const hostMark = "tollbench"

func (hostTakesAll) ProtocolName() string { return kafka.RangeGroupBalancer{}.ProtocolName() }

func (hostTakesAll) UserData() ([]byte, error) { return []byte(hostMark), nil }

func (hostTakesAll) AssignGroups(
	members []kafka.GroupMember, partitions []kafka.Partition,
) kafka.GroupMemberAssignments {
	all := kafka.GroupMemberAssignments{}
	for _, m := range members {
		all[m.ID] = map[string][]int{}
		if string(m.UserData) != hostMark {
			continue
		}
		for _, p := range partitions {
			all[m.ID][p.Topic] = append(all[m.ID][p.Topic], p.ID)
		}
	}
	return all
}
