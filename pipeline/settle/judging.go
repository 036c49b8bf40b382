package settle

import (
	"context"
	"fmt"

	"tollstream/pipeline/catalog"
	"tollstream/pipeline/closing"
	"tollstream/pipeline/stored"
)

// judgeBy makes the catalogue of a closing the one that judges (B26). That is the process's own,
// unless a process of another version decided the closing: one that runs beside this one, or that
// was stopped for an upgrade before the closing was done.
func (l *Loop) judgeBy(ctx context.Context, s *stored.Settlement) error {
	if l.cat.Digest != s.CatalogDigest {
		cat, err := CatalogOf(ctx, l.Catalog, l.Publisher, s)
		if err != nil {
			return err
		}
		if err := l.use(ctx, cat); err != nil {
			return err
		}
	}
	if m := closing.MomentOf(l.cat, s.Day); m.At != s.ClosedAt {
		return fmt.Errorf("%w: closing of %s is decided for %s, and its catalogue closes that day "+
			"at %s; the settlement record or the catalogue was changed", errHalt, s.Day, s.ClosedAt,
			m.At)
	}
	return nil
}

// Files keeps the files of catalogues; nil means that it has none of that digest.
type Files interface {
	CatalogFile(ctx context.Context, digest string) ([]byte, error)
}

// CatalogOf gives the catalogue of a closing: the process's own, or from where its file is kept.
func CatalogOf(
	ctx context.Context, own *catalog.Catalog, kept Files, s *stored.Settlement,
) (*catalog.Catalog, error) {
	if own.Digest == s.CatalogDigest {
		return own, nil
	}
	file, err := kept.CatalogFile(ctx, s.CatalogDigest)
	if err != nil {
		return nil, err
	}
	if file == nil {
		return nil, fmt.Errorf("%w: closing of %s is decided with catalogue %s (%.12s), whose file "+
			"is not kept with it, and this process has %s (%.12s); start it with that catalogue",
			errHalt, s.Day, s.CatalogVersion, s.CatalogDigest, own.Version, own.Digest)
	}
	cat, err := catalog.Parse(fmt.Sprintf("catalogue %.12s", s.CatalogDigest), file)
	if err != nil {
		return nil, fmt.Errorf("%w: closing of %s: this program does not take the catalogue with "+
			"which it is decided; start the version that does: %w", errHalt, s.Day, err)
	}
	return cat, nil
}

// use lets a catalogue judge from here on. What closings before decided about events stays.
func (l *Loop) use(ctx context.Context, cat *catalog.Catalog) error {
	l.cat, l.Store = cat, l.Store.For(cat)
	return l.Store.KeepCatalog(ctx, cat)
}
