package catalog

import (
	"slices"
)

// index is what the queries look up, built once by Parse and never changed.
type index struct {
	dimensions map[string]int
	channels   map[string]*Channel // by key and alias
	running    map[string][]*Channel
	spellings  map[string]TagID
	prices     map[priceKey][]*PriceList // by day
	discounts  map[string]map[TagID][]Discount
}

type priceKey struct {
	cohort string
	tag    TagID
}

func (c *Catalog) buildIndex() {
	c.index = index{
		dimensions: map[string]int{},
		channels:   map[string]*Channel{},
		running:    map[string][]*Channel{},
		spellings:  map[string]TagID{},
		prices:     map[priceKey][]*PriceList{},
		discounts:  map[string]map[TagID][]Discount{Postpaid: {}, PackageSales: {}},
	}
	for i, d := range c.Dimensions {
		c.index.dimensions[d.Name] = i
	}
	for i := range c.Selectors {
		c.Selectors[i].at = c.DimensionIndex(c.Selectors[i].Dimension)
	}
	for _, id := range sortedKeys(c.Tags) {
		for _, name := range c.Tags[id].Names {
			c.index.spellings[normalise(name)] = id
		}
	}
	for _, p := range c.Prices {
		key := priceKey{p.Cohort, p.Tag}
		c.index.prices[key] = append(c.index.prices[key], p)
	}
	for _, d := range c.Discounts {
		for _, tag := range d.Tags {
			c.index.discounts[d.Applies][tag] = append(c.index.discounts[d.Applies][tag], d)
		}
	}
	c.indexChannels()
}

func (c *Catalog) indexChannels() {
	for _, ch := range c.Channels {
		c.index.channels[ch.Key] = ch
		for _, alias := range ch.Aliases {
			c.index.channels[alias] = ch
		}
		for _, action := range ch.Actions {
			c.index.running[action] = append(c.index.running[action], ch)
		}
	}
	for _, ch := range c.Channels {
		for i := range ch.Replaced {
			ch.Replaced[i].target = c.index.channels[ch.Replaced[i].Channel]
		}
		for i := range ch.Codes {
			choice := &ch.Codes[i]
			choice.table = c.Codes[choice.Table]
			for _, name := range sortedKeys(choice.When) {
				choice.conditions = append(choice.conditions,
					condition{c.DimensionIndex(name), choice.When[name]})
			}
		}
	}
}

func containsTag(tags []TagID, tag TagID) bool { return tag != "" && slices.Contains(tags, tag) }
