package clickhouse

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"net"
	"regexp"
	"time"

	driver "github.com/ClickHouse/clickhouse-go/v2"

	"tollstream/pipeline/catalog"
	"tollstream/pipeline/decode"
)

// Defaults of Options.
const (
	DatabaseDefault = "billing"
	userDefault     = "default"
	dialTimeout     = 10 * time.Second
	// readTimeout bounds one wait for the server. An insert that takes longer is not cancelled on
	// purpose (a cancelled insert may still commit); the row sets make the retry harmless.
	readTimeout = 5 * time.Minute
	connsMax    = 8
	insertRows  = 100_000
)

// Protocols by which the server is reached.
const (
	HTTP   = "http"
	Native = "native"
)

// Options say where ClickHouse is and how to speak to it.
type Options struct {
	Addr     string // host:port; 8123 is usual for http, 9000 for native
	Database string // default billing
	// Cluster names, in the server's configuration, the cluster over whose shards and replicas the
	// schema is made; "" is one server.
	Cluster  string
	User     string // default "default"
	Password string
	Protocol string // http (default) or native
	// TLS gives the settings of an encrypted connection; nil is one that is not encrypted.
	TLS func() (*tls.Config, error)
	// Compression of inserts and answers: lz4 (default), zstd for slow lines, or none, which is
	// fastest on one machine.
	Compression string
	DialTimeout time.Duration // default 10 s
	ReadTimeout time.Duration // default 5 min
	MaxConns    int           // default 8
	// InsertRowsMax bounds one INSERT that the driver makes (default 100,000). It keeps a whole
	// insert in memory, about 1 kB a call with its buffers. What ingest writes over HTTP is made
	// while it is sent, a batch in one INSERT; what closings write is bounded by its bytes.
	InsertRowsMax int
	// Failed, if not nil, hears of each statement that failed, and whether waiting can cure it.
	Failed func(passes bool)
	// Dims names the catalogue's rating dimensions, in the order of CallRecord.Dims.
	Dims []string
	// Events decodes stored account events; only the loops need it.
	Events *decode.Events
}

// databaseName keeps the name of the database out of every need for quoting.
var databaseName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,62}$`)

// For gives the options with the dimensions and the events of a catalogue.
func (o Options) For(cat *catalog.Catalog) Options {
	o.Dims, o.Events = cat.DimensionNames(), decode.NewEvents(cat)
	return o
}

func (o Options) withDefaults() Options {
	o.Database = cmp.Or(o.Database, DatabaseDefault)
	o.User = cmp.Or(o.User, userDefault)
	o.Protocol = cmp.Or(o.Protocol, HTTP)
	o.Compression = cmp.Or(o.Compression, "lz4")
	o.DialTimeout = cmp.Or(o.DialTimeout, dialTimeout)
	o.ReadTimeout = cmp.Or(o.ReadTimeout, readTimeout)
	o.MaxConns = cmp.Or(o.MaxConns, connsMax)
	o.InsertRowsMax = cmp.Or(o.InsertRowsMax, insertRows)
	return o
}

// Validate lists everything that is wrong with the options.
func (o Options) Validate() error {
	o = o.withDefaults()
	var faults []error
	if _, _, err := net.SplitHostPort(o.Addr); err != nil {
		faults = append(faults, fmt.Errorf("clickhouse address %q: give host:port", o.Addr))
	}
	if !databaseName.MatchString(o.Database) {
		faults = append(faults, fmt.Errorf(
			"clickhouse database %q: use letters, digits and _, not beginning with a digit", o.Database))
	}
	if o.Cluster != "" && !databaseName.MatchString(o.Cluster) {
		faults = append(faults, fmt.Errorf(
			"clickhouse cluster %q: use letters, digits and _, not beginning with a digit", o.Cluster))
	}
	if o.Protocol != HTTP && o.Protocol != Native {
		faults = append(faults, fmt.Errorf("clickhouse protocol %q: use http or native", o.Protocol))
	}
	if _, ok := compressions[o.Compression]; !ok {
		faults = append(faults, fmt.Errorf(
			"clickhouse compression %q: use lz4, zstd or none", o.Compression))
	}
	if o.MaxConns < 1 || o.InsertRowsMax < 1 {
		faults = append(faults, fmt.Errorf("clickhouse connections %d and rows per insert %d: "+
			"use at least 1", o.MaxConns, o.InsertRowsMax))
	}
	return errors.Join(faults...)
}

var compressions = map[string]driver.CompressionMethod{
	"lz4": driver.CompressionLZ4, "zstd": driver.CompressionZSTD, "none": driver.CompressionNone,
}

// indexedIDsMax is up to how many values of a subquery are looked for in an index.
const indexedIDsMax = 10_000

// driverOptions translates to the driver's form; database may be "" for statements about databases.
func (o Options) driverOptions(database string) (*driver.Options, error) {
	d := &driver.Options{
		Protocol:     driver.HTTP,
		Addr:         []string{o.Addr},
		Auth:         driver.Auth{Database: database, Username: o.User, Password: o.Password},
		DialTimeout:  o.DialTimeout,
		ReadTimeout:  o.ReadTimeout,
		MaxOpenConns: o.MaxConns,
		MaxIdleConns: o.MaxConns,
		Settings: driver.Settings{
			// The answer to an insert means that its rows are stored; 26.2 made 1 the default.
			"async_insert": 0,
			// A batch of old records may span many append days, one part each (default 100).
			"max_partitions_per_insert_block": 0,
			// Rows that replace each other within an insert are left to merges and to FINAL: else the
			// server merges each insert by itself first, which takes as long as storing it.
			"optimize_on_insert": 0,
			// Looking for each of a day's ids in the index of a table costs more than reading the
			// table, since hashes lie everywhere in it; of a few it finds the places.
			"use_index_for_in_with_subqueries_max_values": indexedIDsMax,
		},
		Compression:   &driver.Compression{Method: compressions[o.Compression]},
		TransportFunc: unpack,
	}
	if o.Protocol == Native {
		d.Protocol = driver.Native
	}
	if o.Cluster != "" {
		maps.Copy(d.Settings, clusterSettings)
	}
	if o.TLS == nil {
		return d, nil
	}
	var err error
	d.TLS, err = o.TLS()
	return d, err
}
