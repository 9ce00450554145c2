// Serves MongoDB's protocol from SQLite files in a folder, until it is terminated. Arguments: the folder, and the address
// to listen on. Prints one line, `ready PORT`, once it accepts connections.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/FerretDB/FerretDB/ferretdb"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, folder, address string) error {
	socket := filepath.Join(folder, "ferretdb.sock")
	// What a killed process leaves behind.
	os.Remove(socket)
	server, err := ferretdb.New(&ferretdb.Config{
		Listener:  ferretdb.ListenerConfig{Unix: socket},
		Handler:   "sqlite",
		SQLiteURL: "file:" + filepath.Clean(folder) + "/",
	})
	if err != nil {
		return err
	}
	ended := make(chan error, 2)
	go func() { ended <- server.Run(ctx) }()
	for {
		connection, err := net.Dial("unix", socket)
		if err == nil {
			connection.Close()
			break
		}
		select {
		case err := <-ended:
			return err
		case <-time.After(5 * time.Millisecond):
		}
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	go func() { ended <- (&gate{socket: socket}).serve(listener) }()
	fmt.Println("ready", listener.Addr().(*net.TCPAddr).Port)
	return <-ended
}
