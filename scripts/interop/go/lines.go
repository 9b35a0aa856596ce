// What a client in Go is told and tells, whichever its library: client-process.ts has the lines.
package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

const patience = 30 * time.Second

// client is a connected client of a library.
type client interface {
	subscribe(filter string, qos byte) error
	publish(topic, payload string, qos byte, retained bool) error
	disconnect() error
}

// settings are the arguments of the program. No will has the topic "".
type settings struct {
	address, id, will string
	clean             bool
	// isSecure: by TLS. Go finds the authority's certificate by SSL_CERT_FILE.
	isSecure bool
}

// received tells of a message.
func received(topic string, qos byte, retained bool, payload []byte) {
	fmt.Printf("message %s %d %t %s\n", topic, qos, retained, payload)
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run leads the client that connect makes; connect also says whether the session was present.
func run(connect func(settings) (client, bool, error)) {
	_, isSecure := os.LookupEnv("MQTT_TLS")
	given := settings{net.JoinHostPort(os.Args[1], os.Args[2]), os.Args[4], "", os.Args[5] == "clean", isSecure}
	if len(os.Args) > 6 {
		given.will = os.Args[6]
	}
	it, present, err := connect(given)
	must(err)
	fmt.Println("connected", present)
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		switch words := strings.Split(lines.Text(), " "); words[0] {
		case "subscribe":
			must(it.subscribe(words[1], qosOf(words[2])))
			fmt.Println("subscribed")
		case "publish":
			must(it.publish(words[1], words[4], qosOf(words[2]), words[3] == "true"))
			fmt.Println("published")
		case "disconnect":
			must(it.disconnect())
			return
		}
	}
}

func qosOf(text string) byte {
	qos, err := strconv.Atoi(text)
	must(err)
	return byte(qos)
}
