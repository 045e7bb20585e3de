package v9

import "time"

// SetRefresh changes how often templates are resent: see EncoderConfig.TemplateEvery and TemplateMessages.
func (e *Encoder) SetRefresh(every time.Duration, messages int) {
	e.builder.SetRefresh(every, messages)
}
