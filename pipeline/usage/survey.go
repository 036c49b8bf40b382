package usage

import (
	"context"
	"time"

	"tollstream/pipeline/billing"
)

// surveyShare is how many times as long as a survey took it is not done again, so that a large
// quarantine does not keep the database busy.
const surveyShare = 20

// surveyor shows what stands in the database: how many accounts are in arrears, what is in
// quarantine, which packages come to their end. Nothing is decided by it.
type surveyor struct {
	Options
	next     time.Time
	closed   billing.Day // as of which packages were counted
	packages map[string]int64
}

// survey counts, unless it did a short while ago. Packages change by closings only.
func (s *surveyor) survey(ctx context.Context) error {
	started := time.Now()
	if s.Counter == nil || started.Before(s.next) {
		return nil
	}
	found, err := s.Counter.Survey(ctx)
	if err != nil {
		return err
	}
	last, any, err := s.Store.LastClosedDay(ctx)
	if err != nil {
		return err
	}
	if any && (s.packages == nil || last != s.closed) {
		if s.packages, err = s.Counter.Packages(ctx, last); err != nil {
			return err
		}
		s.closed = last
	}
	found.Packages = s.packages
	s.Metrics.Surveyed(*found)
	s.next = time.Now().Add(surveyShare * time.Since(started))
	return nil
}
