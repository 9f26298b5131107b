// The other half of podshim's ttrpc tests: the Go implementation as a server and as a client.
//
//	interop serve PATH    serve podshim.test.Echo at a Unix socket until stdin ends
//	interop call PATH     call every method of it, print one line for each outcome
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/containerd/ttrpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const service = "podshim.test.Echo"

type text = wrapperspb.StringValue

func word(value string) *text { return wrapperspb.String(value) }

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "usage: interop serve|call PATH")
		os.Exit(2)
	}
	var err error
	switch os.Args[1] {
	case "serve":
		err = serve(os.Args[2])
	case "call":
		err = call(os.Args[2])
	default:
		err = fmt.Errorf("unknown command %q", os.Args[1])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// say is Echo's unary method: the request's text says what is to happen.
func say(ctx context.Context, request *text) (any, error) {
	switch request.Value {
	case "missing":
		return nil, status.Error(codes.NotFound, "task c1: not found")
	case "bug":
		return nil, errors.New("by zero")
	case "hold":
		<-ctx.Done()
		return nil, ctx.Err()
	case "metadata":
		md, _ := ttrpc.GetMetadata(ctx)
		values, _ := md.Get("key")
		return word(strings.Join(values, ",")), nil
	case "deadline":
		deadline, ok := ctx.Deadline()
		return word(fmt.Sprint(ok && time.Until(deadline) > 0)), nil
	}
	return word(request.Value + "!"), nil
}

func receive(stream ttrpc.StreamServer) (string, error) {
	var message text
	err := stream.RecvMsg(&message)
	return message.Value, err
}

func join(_ context.Context, stream ttrpc.StreamServer) (any, error) {
	var words []string
	for {
		value, err := receive(stream)
		if errors.Is(err, io.EOF) {
			return word(strings.Join(words, " ")), nil
		}
		if err != nil {
			return nil, err
		}
		words = append(words, value)
	}
}

func spell(_ context.Context, stream ttrpc.StreamServer) (any, error) {
	value, err := receive(stream)
	if err != nil {
		return nil, err
	}
	for _, letter := range value {
		if letter == '!' {
			return nil, status.Error(codes.NotFound, "letter: not found")
		}
		if err := stream.SendMsg(word(string(letter))); err != nil {
			return nil, err
		}
	}
	return nil, nil
}

func talk(_ context.Context, stream ttrpc.StreamServer) (any, error) {
	for {
		value, err := receive(stream)
		if errors.Is(err, io.EOF) || value == "bye" {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if err := stream.SendMsg(word(strings.ToUpper(value))); err != nil {
			return nil, err
		}
	}
}

func serve(path string) error {
	server, err := ttrpc.NewServer()
	if err != nil {
		return err
	}
	server.RegisterService(service, &ttrpc.ServiceDesc{
		Methods: map[string]ttrpc.Method{
			"Say": func(ctx context.Context, unmarshal func(any) error) (any, error) {
				var request text
				if err := unmarshal(&request); err != nil {
					return nil, err
				}
				return say(ctx, &request)
			},
			"Blob": func(_ context.Context, unmarshal func(any) error) (any, error) {
				var request wrapperspb.BytesValue
				if err := unmarshal(&request); err != nil {
					return nil, err
				}
				return wrapperspb.Bytes(request.Value[:10]), nil
			},
			"Grow": func(_ context.Context, unmarshal func(any) error) (any, error) {
				var request wrapperspb.Int64Value
				if err := unmarshal(&request); err != nil {
					return nil, err
				}
				return wrapperspb.Bytes(make([]byte, request.Value)), nil
			},
		},
		Streams: map[string]ttrpc.Stream{
			"Join":  {Handler: join, StreamingClient: true},
			"Spell": {Handler: spell, StreamingServer: true},
			"Talk":  {Handler: talk, StreamingClient: true, StreamingServer: true},
		},
	})
	listener, err := net.Listen("unix", path)
	if err != nil {
		return err
	}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = server.Close()
	}()
	fmt.Println("serving")
	if err := server.Serve(context.Background(), listener); !errors.Is(err, ttrpc.ErrServerClosed) {
		return err
	}
	return nil
}

// outcome prints what came of a call.
func outcome(name string, value string, err error) {
	if err == nil {
		fmt.Printf("%s: %s\n", name, value)
		return
	}
	if found, ok := status.FromError(err); ok {
		fmt.Printf("%s: status %d %s\n", name, found.Code(), found.Message())
		return
	}
	fmt.Printf("%s: error %s\n", name, err)
}

func call(path string) error {
	connection, err := net.Dial("unix", path)
	if err != nil {
		return err
	}
	client := ttrpc.NewClient(connection)
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	unary(ctx, client)
	large(client)
	if err := streams(ctx, client); err != nil {
		return err
	}
	crowd(ctx, client)
	return nil
}

func sayTo(ctx context.Context, client *ttrpc.Client, value string) (string, error) {
	var response text
	err := client.Call(ctx, service, "Say", word(value), &response)
	return response.Value, err
}

func unary(ctx context.Context, client *ttrpc.Client) {
	for _, value := range []string{"hi", "missing", "bug", "none"} {
		answer, err := sayTo(ctx, client, value)
		outcome(value, answer, err)
	}
	md := ttrpc.MD{}
	md.Append("Key", "1", "2")
	answer, err := sayTo(ttrpc.WithMetadata(ctx, md), client, "metadata")
	outcome("metadata", answer, err)
	answer, err = sayTo(ctx, client, "deadline")
	outcome("deadline", answer, err)
	short, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
	defer cancel()
	_, err = sayTo(short, client, "hold")
	// Whichever end is the first to notice.
	late := errors.Is(err, context.DeadlineExceeded) || status.Code(err) == codes.DeadlineExceeded
	outcome("hold past the deadline", fmt.Sprint(late), nil)
	var response text
	err = client.Call(ctx, service, "Sing", word(""), &response)
	outcome("unknown method", "", err)
	err = client.Call(ctx, "a.B", "Say", word(""), &response)
	outcome("unknown service", "", err)
}

// large tries the limit from both sides. Without a deadline, which would be part of the size.
func large(client *ttrpc.Client) {
	ctx := context.Background()
	var response wrapperspb.BytesValue
	for _, size := range []int{4194304 - 35, 4194304 - 34} {
		err := client.Call(ctx, service, "Blob", wrapperspb.Bytes(make([]byte, size)), &response)
		outcome("large request", fmt.Sprint(len(response.Value)), err)
	}
	for _, size := range []int64{4194304 - 10, 4194304 - 9} {
		err := client.Call(ctx, service, "Grow", wrapperspb.Int64(size), &response)
		outcome("large response", fmt.Sprint(len(response.Value)), err)
	}
}

func open(ctx context.Context, client *ttrpc.Client, method string, request *text) (ttrpc.ClientStream, error) {
	desc := &ttrpc.StreamDesc{StreamingClient: request == nil, StreamingServer: method != "Join"}
	if request == nil {
		return client.NewStream(ctx, desc, service, method, nil)
	}
	return client.NewStream(ctx, desc, service, method, request)
}

// drain prints what a stream gives until it ends.
func drain(name string, stream ttrpc.ClientStream) {
	var values []string
	for {
		var message text
		err := stream.RecvMsg(&message)
		if errors.Is(err, io.EOF) {
			outcome(name, strings.Join(values, ","), nil)
			return
		}
		if err != nil {
			outcome(name+" "+strings.Join(values, ","), "", err)
			return
		}
		values = append(values, message.Value)
	}
}

func streams(ctx context.Context, client *ttrpc.Client) error {
	for _, value := range []string{"abc", "", "a!"} {
		stream, err := open(ctx, client, "Spell", word(value))
		if err != nil {
			return err
		}
		drain("spell", stream)
	}
	for _, last := range []string{"c", "fail"} {
		stream, err := open(ctx, client, "Join", nil)
		if err != nil {
			return err
		}
		for _, value := range []string{"a", "", last} {
			if err := stream.SendMsg(word(value)); err != nil {
				return err
			}
		}
		if err := stream.CloseSend(); err != nil {
			return err
		}
		var response text
		err = stream.RecvMsg(&response)
		outcome("join", response.Value, err)
	}
	for _, last := range []string{"c", "bye", "fail"} {
		stream, err := open(ctx, client, "Talk", nil)
		if err != nil {
			return err
		}
		var first text
		if err := stream.SendMsg(word("a")); err != nil {
			return err
		}
		if err := stream.RecvMsg(&first); err != nil {
			return err
		}
		outcome("talk", first.Value, nil)
		if err := stream.SendMsg(word(last)); err != nil {
			return err
		}
		if last == "c" {
			if err := stream.CloseSend(); err != nil {
				return err
			}
		}
		drain("talk", stream)
	}
	return nil
}

// crowd makes many calls at once while one does not return.
func crowd(ctx context.Context, client *ttrpc.Client) {
	slow, cancel := context.WithCancel(ctx)
	var holding, calls sync.WaitGroup
	holding.Add(1)
	go func() {
		defer holding.Done()
		_, _ = sayTo(slow, client, "hold")
	}()
	var lock sync.Mutex
	good := 0
	for number := range 100 {
		calls.Add(1)
		go func() {
			defer calls.Done()
			value := fmt.Sprint(number)
			if answer, err := sayTo(ctx, client, value); err == nil && answer == value+"!" {
				lock.Lock()
				good++
				lock.Unlock()
			}
		}()
	}
	calls.Wait()
	cancel()
	holding.Wait()
	outcome("crowd", fmt.Sprint(good), nil)
}
