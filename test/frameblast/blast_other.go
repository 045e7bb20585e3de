//go:build !linux

package main

import "errors"

func blast(config) (result, error) {
	return result{}, errors.New("sends on Linux only")
}
