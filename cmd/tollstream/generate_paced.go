package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"math"
	"time"

	"golang.org/x/sync/errgroup"

	"tollstream/pipeline/generate"
	"tollstream/pipeline/observe"
)

// What --send can be.
const (
	sendAll  = "all"  // every record at once
	sendPast = "past" // those that have arrived by now
	sendLive = "live" // those, and then each when it arrives
)

// sendTogether bounds what is held before it is sent.
const sendTogether = 5000

// endOfTime is a clock by which everything has arrived.
var endOfTime = time.UnixMicro(math.MaxInt64)

// pacer sends generated records, none before it arrives by the clock.
type pacer struct {
	to    sink
	now   func() time.Time
	sent  func(records int)     // hears of each part that the sink has taken
	pause func(until time.Time) // hears of each wait, may be nil
	live  bool                  // waits for what has not arrived; else that is the end
}

func (p *pacer) send(ctx context.Context, records iter.Seq[generate.Record]) error {
	batch := make([]generate.Record, 0, sendTogether)
	flush := func() error {
		err := p.to.Send(ctx, batch)
		if err == nil {
			p.sent(len(batch))
		}
		batch = batch[:0]
		return err
	}
	for r := range records {
		arrives := r.Arrived.Time()
		if arrives.After(p.now()) {
			if err := flush(); err != nil || !p.live {
				return err
			}
			if err := p.wait(ctx, arrives); err != nil {
				return err
			}
		}
		if batch = append(batch, r); len(batch) == sendTogether {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// waitMost bounds one wait, since the machine's clock may be set meanwhile.
const waitMost = time.Second

func (p *pacer) wait(ctx context.Context, until time.Time) error {
	if p.pause != nil {
		p.pause(until)
	}
	for {
		left := until.Sub(p.now())
		if left <= 0 {
			return nil
		}
		select {
		case <-time.After(min(left, waitMost)):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// sendPaced is --send past and --send live. The latter tells at http.listen whether it gets on,
// where that is given: its default is the pipeline's own.
func (f *generateFlags) sendPaced(
	ctx context.Context, cfg *Config, g *generate.Generator, to sink, stdout, stderr io.Writer,
) error {
	if f.send == sendPast || cfg.origin["http.listen"] == "" {
		return f.pace(ctx, &pacer{to: to, now: time.Now}, g, stdout)
	}
	logger, err := newLogger(cfg.Log, stderr)
	if err != nil {
		return err
	}
	health := observe.NewHealth(time.Now)
	loop := health.Loop("generate", cfg.HTTP.StallAfter)
	server, err := observe.Listen(observe.ServerOptions{Listen: cfg.HTTP.Listen,
		Handler: observe.HealthMux(health), ShutdownTimeout: cfg.HTTP.ShutdownTimeout,
		Logger: logger})
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return server.Run(ctx) })
	group.Go(func() error {
		defer stop()
		return f.pace(ctx, &pacer{to: to, now: time.Now, pause: loop.IdleUntil,
			sent: func(int) { loop.Moved() }}, g, stdout)
	})
	return group.Wait()
}

// pace sends what has arrived, goes on if it is to, and says how much it was.
func (f *generateFlags) pace(
	ctx context.Context, p *pacer, g *generate.Generator, stdout io.Writer,
) error {
	total, tell := 0, p.sent
	p.live = f.send == sendLive
	p.sent = func(n int) {
		total += n
		if tell != nil {
			tell(n)
		}
	}
	err := p.send(ctx, g.Records())
	if err == nil || errors.Is(err, context.Canceled) {
		fmt.Fprintf(stdout, "seed %d: %d records have arrived since %s and stand in the topics\n",
			f.options.Seed, total, f.options.From)
	}
	return err
}
