package main

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
)

const (
	headerBytes     = 16
	maxMessageBytes = 48_000_000 + 16_384
	opMsg           = 2013
)

// One by one only: FerretDB reads a document and writes it back in two steps, so of two updates at once one is lost, and
// two transactions of its SQLite can wait for each other until they time out.
var writes = map[string]bool{
	"insert": true, "update": true, "delete": true, "findAndModify": true, "findandmodify": true,
	"create": true, "createIndexes": true, "dropIndexes": true, "drop": true, "dropDatabase": true, "collMod": true,
}

// gate passes connections on to the socket of FerretDB, and lets in one writing command at a time.
type gate struct {
	socket  string
	writing sync.Mutex
}

func (g *gate) serve(listener net.Listener) error {
	for {
		client, err := listener.Accept()
		if err != nil {
			return err
		}
		go g.pass(client)
	}
}

// pass ends when one side closes. A command that was let in is waited for, also if its client has gone.
func (g *gate) pass(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("unix", g.socket)
	if err != nil {
		return
	}
	defer server.Close()
	for {
		request, err := readMessage(client)
		if err != nil {
			return
		}
		answer, err := g.ask(server, request)
		if err != nil {
			return
		}
		if _, err := client.Write(answer); err != nil {
			return
		}
	}
}

// ask relies on two things that hold here: the driver waits for an answer before it asks again on the same connection,
// and FerretDB answers each request once.
func (g *gate) ask(server net.Conn, request []byte) ([]byte, error) {
	if writes[commandName(request)] {
		g.writing.Lock()
		defer g.writing.Unlock()
	}
	if _, err := server.Write(request); err != nil {
		return nil, err
	}
	return readMessage(server)
}

func readMessage(from io.Reader) ([]byte, error) {
	header := make([]byte, headerBytes)
	if _, err := io.ReadFull(from, header); err != nil {
		return nil, err
	}
	length := binary.LittleEndian.Uint32(header)
	if length < headerBytes || length > maxMessageBytes {
		return nil, errors.New("the length of a message is out of bounds")
	}
	message := make([]byte, length)
	copy(message, header)
	_, err := io.ReadFull(from, message[headerBytes:])
	return message, err
}

// commandName is the first key of the body: after the flags, sections of which one of kind 0 is the body. The driver
// sends it first. Empty if the message is of another sort.
func commandName(message []byte) string {
	const body = headerBytes + 4 + 1 + 4 + 1
	if len(message) < body || binary.LittleEndian.Uint32(message[12:]) != opMsg || message[headerBytes+4] != 0 {
		return ""
	}
	for end := body; end < len(message); end++ {
		if message[end] == 0 {
			return string(message[body:end])
		}
	}
	return ""
}
