// A fan-out server as one writes it in Go: net/http, a goroutine and a buffered channel for each stream.
//
//	fanout PORT
//
// GET opens a stream of Server-Sent Events; the body of a POST goes to all open streams as it is.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
)

// A stream that is so many events behind is ended, so that it does not hold the others up.
const mostWaiting = 64

type hub struct {
	mutex   sync.Mutex
	streams map[chan []byte]struct{}
}

func (h *hub) join() chan []byte {
	events := make(chan []byte, mostWaiting)
	h.mutex.Lock()
	defer h.mutex.Unlock()
	h.streams[events] = struct{}{}
	return events
}

func (h *hub) leave(events chan []byte) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	if _, there := h.streams[events]; there {
		delete(h.streams, events)
		close(events)
	}
}

func (h *hub) publish(event []byte) {
	h.mutex.Lock()
	defer h.mutex.Unlock()
	for events := range h.streams {
		select {
		case events <- event:
		default:
			delete(h.streams, events)
			close(events)
		}
	}
}

func (h *hub) stream(response http.ResponseWriter, request *http.Request) {
	events := h.join()
	defer h.leave(events)
	response.Header().Set("Content-Type", "text/event-stream")
	response.Header().Set("Cache-Control", "no-store")
	control := http.NewResponseController(response)
	if _, err := io.WriteString(response, ": go\n\n"); err != nil || control.Flush() != nil {
		return
	}
	for {
		select {
		case event, there := <-events:
			if !there {
				return
			}
			if _, err := response.Write(event); err != nil || control.Flush() != nil {
				return
			}
		case <-request.Context().Done():
			return
		}
	}
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: fanout PORT")
		os.Exit(2)
	}
	h := &hub{streams: map[chan []byte]struct{}{}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /", h.stream)
	mux.HandleFunc("POST /", func(response http.ResponseWriter, request *http.Request) {
		event, err := io.ReadAll(request.Body)
		if err != nil {
			http.Error(response, err.Error(), http.StatusBadRequest)
			return
		}
		h.publish(event)
		response.WriteHeader(http.StatusAccepted)
	})
	fmt.Fprintln(os.Stderr, http.ListenAndServe("127.0.0.1:"+os.Args[1], mux))
	os.Exit(1)
}
