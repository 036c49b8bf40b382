package main

import (
	"context"
	"fmt"
	"runtime/debug"
	"strconv"

	"github.com/spf13/cobra"

	"tollstream/deploy/embedded"
)

const (
	callsTopic  = "faceid.calls"
	eventsTopic = "billing.account-events"
	billsTopic  = "billing.bills"
)

// brokerGrowth is by how many percent the broker's memory may grow before garbage is collected. It
// has little that stays, and makes each answer anew: by the usual 100 it collects all the time, on
// the cores for which contenders are measured.
const brokerGrowth = 800

// startBroker starts the embedded broker in a process of its own.
func startBroker(ctx context.Context, self, folder string, partitions int) (
	p *process, address string, err error,
) {
	p, err = startProcess(folder, self, "broker", folder, strconv.Itoa(partitions))
	if err != nil {
		return nil, "", err
	}
	address, err = p.said(ctx, "serves at")
	return p, address, err
}

func newBrokerCommand() *cobra.Command {
	return &cobra.Command{
		Use: "broker FOLDER PARTITIONS", Hidden: true, Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			partitions, err := strconv.Atoi(args[1])
			if err != nil {
				return err
			}
			broker, err := embedded.StartBroker(embedded.BrokerOptions{
				Listen: "127.0.0.1:0", DataDir: args[0] + "/kafka",
				Topics: []embedded.Topic{{Name: callsTopic, Partitions: partitions},
					{Name: eventsTopic, Partitions: 1}},
			})
			if err != nil {
				return err
			}
			fmt.Println("serves at", broker.Addr())
			debug.SetGCPercent(brokerGrowth)
			<-c.Context().Done()
			return broker.Close()
		},
	}
}
