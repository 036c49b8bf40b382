package stored

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"tollstream/pipeline/billing"
)

// Gap is a run of offsets, From included and To not, that is lost for ever and that a person
// accepted as lost (B21). Nothing of it is stored, and nothing ever will be: should the log come to
// have records there after all, they are passed over.
type Gap struct {
	Topic      string // of the log, as barriers name it
	Partition  int32
	From, To   int64
	Reason, By string
	AcceptedAt billing.Instant // wall clock; nothing is decided by it
}

// gapRecord is the JSON of a gap, in the topic and in the table of settlements.
type gapRecord struct {
	Topic      string `json:"topic"`
	Partition  int32  `json:"partition"`
	From       int64  `json:"from"`
	To         int64  `json:"to"`
	Reason     string `json:"reason"`
	By         string `json:"by"`
	AcceptedAt string `json:"accepted_at"`
}

// MarshalJSON writes the time of acceptance as RFC 3339.
func (g Gap) MarshalJSON() ([]byte, error) {
	return json.Marshal(gapRecord{g.Topic, g.Partition, g.From, g.To, g.Reason, g.By,
		g.AcceptedAt.String()})
}

// UnmarshalJSON refuses a range that cannot be.
func (g *Gap) UnmarshalJSON(text []byte) error {
	var r gapRecord
	if err := json.Unmarshal(text, &r); err != nil {
		return err
	}
	if r.Topic == "" || r.Partition < 0 || r.From < 0 || r.To <= r.From {
		return fmt.Errorf("the gap %s/%d [%d, %d) is no range", r.Topic, r.Partition, r.From, r.To)
	}
	at, err := billing.ParseInstant(r.AcceptedAt)
	*g = Gap{r.Topic, r.Partition, r.From, r.To, r.Reason, r.By, at}
	return err
}

// Epoch is one life of a topic: until it is deleted and created again, or moved to another cluster.
// Offsets of two epochs have nothing to do with each other.
type Epoch struct {
	Topic      string // Kafka's name
	Number     int    // from 1
	ClusterID  string
	TopicID    string // "" where brokers do not tell (before Apache Kafka 3.1)
	Reason, By string
	DeclaredAt billing.Instant // wall clock; nothing is decided by it
}

// epochMark parts a topic's name from the number of its epoch; no topic's name can hold it.
const epochMark = "#"

// Log names the epoch's records wherever a topic is stored: the topic's own name for the first
// epoch, topic#2 for the second. So an offset of a new epoch never meets one of an old epoch.
func (e *Epoch) Log() string {
	if e.Number <= 1 {
		return e.Topic
	}
	return e.Topic + epochMark + strconv.Itoa(e.Number)
}

// Check tells whether the log that a cluster has under the topic's name is still this one. An id
// that is not told is not compared.
func (e *Epoch) Check(clusterID, topicID string) error {
	sameCluster := e.ClusterID == clusterID || e.ClusterID == "" || clusterID == ""
	sameTopic := e.TopicID == topicID || e.TopicID == "" || topicID == ""
	if sameCluster && sameTopic {
		return nil
	}
	return &OtherLog{Was: *e, ClusterID: clusterID, TopicID: topicID}
}

// OtherLog says that a topic is not the log any more that was read so far.
type OtherLog struct {
	Was                Epoch
	ClusterID, TopicID string // what it is now
}

func (e *OtherLog) Error() string {
	return fmt.Sprintf("topic %s is another log than before: it has id %s on cluster %q, and what "+
		"was read so far, epoch %d, id %s on cluster %q; connect to that cluster, or, if the topic "+
		"was created again on purpose, run tollstream settle new-epoch --topic %s --reason WHY --by "+
		"NAME", e.Was.Topic, e.TopicID, e.ClusterID, e.Was.Number, e.Was.TopicID, e.Was.ClusterID,
		e.Was.Topic)
}

// TopicOf is Kafka's name of the topic that a log is an epoch of.
func TopicOf(log string) string {
	topic, _, _ := strings.Cut(log, epochMark)
	return topic
}

// AddGap takes in an accepted gap, unless it overlaps one before: the first word counts (B21).
func AddGap(list []Gap, g Gap) []Gap {
	for i := range list {
		if list[i].Overlaps(g) {
			return list
		}
	}
	return append(list, g)
}

// Overlaps tells whether two gaps have an offset in common.
func (g Gap) Overlaps(other Gap) bool {
	return g.Topic == other.Topic && g.Partition == other.Partition &&
		g.From < other.To && other.From < g.To
}

// Without cuts accepted gaps out of ranges of offsets.
func Without(ranges []Barrier, gaps []Gap) []Barrier {
	out := ranges
	for _, g := range gaps {
		var rest []Barrier
		for _, r := range out {
			if r.Topic != g.Topic || r.Partition != g.Partition || g.To <= r.Low || r.High <= g.From {
				rest = append(rest, r)
				continue
			}
			before, after := r, r
			if before.High = g.From; before.Low < before.High {
				rest = append(rest, before)
			}
			if after.Low = g.To; after.Low < after.High {
				rest = append(rest, after)
			}
		}
		out = rest
	}
	return out
}

// LostIn counts the offsets of a range that lie in accepted gaps, of which no two overlap.
func LostIn(r Barrier, gaps []Gap) int64 {
	n := int64(0)
	for _, g := range gaps {
		if g.Topic == r.Topic && g.Partition == r.Partition {
			n += max(0, min(g.To, r.High)-max(g.From, r.Low))
		}
	}
	return n
}

// Epochs are those of each topic, in the order of their numbers.
type Epochs map[string][]Epoch

// Add takes in a new epoch, unless it does not follow on the topic's last one: the first word on a
// number counts (B21).
func (all Epochs) Add(e Epoch) {
	if e.Number == len(all[e.Topic])+1 {
		all[e.Topic] = append(all[e.Topic], e)
	}
}

// Last is the epoch that a topic is in; Number is 0 where none is recorded.
func (all Epochs) Last(topic string) Epoch {
	if n := len(all[topic]); n > 0 {
		return all[topic][n-1]
	}
	return Epoch{Topic: topic}
}
