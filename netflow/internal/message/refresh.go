package message

import "time"

// SetRefresh changes Config's Every and Messages.
func (b *Builder) SetRefresh(every time.Duration, messages int) {
	b.cfg.Every, b.cfg.Messages = every, max(messages, 1)
}
