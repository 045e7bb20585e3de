package archive

// SetBounds changes Config's Size, MaxBytes, MaxFiles and MinFree, from the next packets on. It may be called at any time.
func (a *Archive) SetBounds(cfg Config) error {
	cfg.Dir = a.cfg.Dir
	if err := cfg.Validate(); err != nil {
		return err
	}
	cfg.setDefaults()
	a.bounds.Store(&cfg)
	return nil
}

// takeBounds takes over what SetBounds has left.
func (a *Archive) takeBounds() {
	if b := a.bounds.Swap(nil); b != nil {
		a.cfg.Size, a.cfg.MaxBytes, a.cfg.MaxFiles, a.cfg.MinFree = b.Size, b.MaxBytes, b.MaxFiles, b.MinFree
	}
}
