package kafkalog

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/segmentio/kafka-go"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// The benchmarks read from a broker in a child process, so that the CPU time of this process is
// the reader's alone; "cpu-ns/record" is what to compare, since the wall clock is the broker's.
const (
	benchBrokerEnv = "KAFKALOG_BENCH_BROKER"
	benchRecords   = 200_000
	benchBatch     = 1_000
)

var benchCodecs = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "lz4": kgo.Lz4Compression()}

func TestMain(m *testing.M) {
	if os.Getenv(benchBrokerEnv) != "" {
		if err := serveBench(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// serveBench fills a topic per codec, prints the address and serves until its input ends.
func serveBench() error {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "none", "lz4"))
	if err != nil {
		return err
	}
	defer cluster.Close()
	for topic, codec := range benchCodecs {
		p, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...),
			kgo.ProducerBatchCompression(codec), kgo.DefaultProduceTopic(topic))
		if err != nil {
			return err
		}
		for i := 0; i < benchRecords; i += benchBatch {
			var batch []*kgo.Record
			for j := range benchBatch {
				batch = append(batch, &kgo.Record{Value: benchValue(i + j)})
			}
			if err := p.ProduceSync(context.Background(), batch...).FirstErr(); err != nil {
				return err
			}
		}
		p.Close()
	}
	fmt.Println(cluster.ListenAddrs()[0])
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// benchValue is a call of 272 bytes.
func benchValue(i int) []byte {
	v := fmt.Appendf(nil, `{"call_id":"01JD%020d","account":"acct-%04d","key":"key-%05d",`+
		`"model":"large-3","region":"eu-west-1","occurred_at":"2026-11-21T10:%02d:%02d.%03dZ",`+
		`"input_tokens":%d,"output_tokens":%d,"status":"ok"`, i, i%977, i%9973, i/1000%60, i%60,
		i%1000, i%4096, i%2048)
	return append(v, `,"pad":"`+strings.Repeat("x", max(0, 272-len(v)-10))+`"}`...)
}

// benchBroker starts the child.
func benchBroker(b *testing.B) string {
	b.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), benchBrokerEnv+"=1")
	child.Stderr = os.Stderr
	in, err := child.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := child.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		in.Close()
		_ = child.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		b.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// cpuTime is what this process has used so far.
func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// measure runs one whole read of the topic per turn.
func measure(b *testing.B, read func() int) {
	b.ReportAllocs()
	records := 0
	cpu := cpuTime()
	for b.Loop() {
		records += read()
	}
	cpu = cpuTime() - cpu
	if records == 0 || records%benchRecords != 0 {
		b.Fatalf("%d records read", records)
	}
	b.ReportMetric(float64(cpu.Nanoseconds())/float64(records), "cpu-ns/record")
	b.ReportMetric(float64(records)/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkFetch(b *testing.B) {
	addr := benchBroker(b)
	for _, topic := range []string{"none", "lz4"} {
		b.Run("kafkalog/"+topic, func(b *testing.B) { benchKafkalog(b, addr, topic, false) })
		b.Run("kafkalog-Release/"+topic, func(b *testing.B) { benchKafkalog(b, addr, topic, true) })
		b.Run("kafka-go-Conn/"+topic, func(b *testing.B) { benchConn(b, addr, topic) })
	}
}

func benchKafkalog(b *testing.B, addr, topic string, release bool) {
	c, err := New(Options{Brokers: []string{addr}})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	measure(b, func() int {
		n := 0
		for offset := int64(0); offset < benchRecords; {
			got, err := c.Fetch(context.Background(), topic, 0, offset)
			if err != nil {
				b.Fatal(err)
			}
			n += len(got.Records)
			offset = got.Next
			if release {
				got.Release()
			}
		}
		return n
	})
}

// benchConn is the fastest way that kafka-go itself has: values only, one buffer, no outcome, the
// producer's clock.
func benchConn(b *testing.B, addr, topic string) {
	conn, err := kafka.DialLeader(context.Background(), "tcp", addr, topic, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	buf := make([]byte, 64<<10)
	measure(b, func() int {
		n := 0
		if _, err := conn.Seek(0, kafka.SeekAbsolute); err != nil {
			b.Fatal(err)
		}
		for n < benchRecords {
			batch := conn.ReadBatchWith(kafka.ReadBatchConfig{MinBytes: 1, MaxBytes: 4 << 20,
				MaxWait: time.Second, IsolationLevel: kafka.ReadCommitted})
			for {
				if _, err := batch.Read(buf); err != nil {
					break
				}
				n++
			}
			if err := batch.Close(); err != nil {
				b.Fatal(err)
			}
		}
		return n
	})
}

// BenchmarkDecode is the decoder without the network: a set of 16 batches of 1000 records.
func BenchmarkDecode(b *testing.B) {
	var raw []byte
	for i := range int64(16) {
		var entries []entry
		for j := range int32(benchBatch) {
			entries = append(entries, entry{delta: j, value: string(benchValue(int(j)))})
		}
		raw = append(raw, handMade(func(k *kmsg.RecordBatch) {
			k.FirstOffset = i * benchBatch
		}, entries...)...)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		f := Fetched{LastStable: -1, memory: &memory{}}
		if _, err := decodeSet(raw, nil, &f); err != nil || len(f.Records) != 16*benchBatch {
			b.Fatal(len(f.Records), err)
		}
		f.Release()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*16*benchBatch), "ns/record")
}
