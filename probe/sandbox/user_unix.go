//go:build unix

package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"strconv"
	"strings"
	"syscall"
)

// account is the user to become.
type account struct {
	uid, gid int
	change   bool
}

// account looks the user up; that needs /etc, and so comes before chroot.
func (c *Config) account() (account, error) {
	stay := account{os.Geteuid(), os.Getegid(), false}
	text := c.User
	if text == "" {
		if stay.uid != 0 || c.ReadAll {
			return stay, nil
		}
		text = DefaultUser
	}
	a, err := lookup(text)
	if err != nil {
		return stay, err
	}
	switch {
	case a.uid == stay.uid && a.gid == stay.gid:
		return stay, nil
	case stay.uid != 0:
		return stay, fmt.Errorf("user %s: only root can become somebody else", text)
	}
	a.change = true
	return a, nil
}

// lookup reads NAME[:GROUP], either of which may be a number.
func lookup(text string) (account, error) {
	name, groupName, _ := strings.Cut(text, ":")
	u, err := user.Lookup(name)
	if err != nil {
		byID, errID := user.LookupId(name)
		if uid, errNumber := strconv.ParseUint(name, 10, 31); errID != nil && errNumber == nil && groupName != "" {
			byID, errID = &user.User{Uid: strconv.FormatUint(uid, 10), Gid: "-1"}, nil // a number that nobody has
		}
		if errID != nil {
			return account{}, fmt.Errorf("user %s: %w", name, err)
		}
		u = byID
	}
	gid := u.Gid
	if groupName != "" {
		g, err := user.LookupGroup(groupName)
		switch {
		case err == nil:
			gid = g.Gid
		case isNumber(groupName):
			gid = groupName
		default:
			return account{}, fmt.Errorf("group %s: %w", groupName, err)
		}
	}
	var a account
	var errUser, errGroup error
	a.uid, errUser = strconv.Atoi(u.Uid)
	a.gid, errGroup = strconv.Atoi(gid)
	return a, errors.Join(errUser, errGroup)
}

func isNumber(text string) bool {
	_, err := strconv.ParseUint(text, 10, 31)
	return err == nil
}

// enterRoot makes dir the root of the file system.
func enterRoot(dir string) error {
	if dir == "" {
		return nil
	}
	if err := syscall.Chroot(dir); err != nil {
		return fmt.Errorf("chroot %s: %w", dir, err)
	}
	return os.Chdir("/")
}

// become changes the real, effective and saved user and group, in all threads, and makes sure that there is no way back.
func (a account) become() error {
	if !a.change {
		return nil
	}
	if err := syscall.Setgroups([]int{a.gid}); err != nil {
		return fmt.Errorf("supplementary groups: %w", err)
	}
	if err := syscall.Setgid(a.gid); err != nil {
		return fmt.Errorf("group %d: %w", a.gid, err)
	}
	if err := syscall.Setuid(a.uid); err != nil {
		return fmt.Errorf("user %d: %w", a.uid, err)
	}
	if a.uid != 0 && syscall.Setuid(0) == nil {
		return errors.New("root was given up, and could be had again")
	}
	return nil
}
