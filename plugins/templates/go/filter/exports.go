//go:build wasip1

// What the component exports: a function for each of its world (wit/world.wit), under the name that the contract gives
// it. The numbers are addresses of arguments and results; package cordboard knows what lies there.
package main

import "local/{{name}}/cordboard"

var exported policy

//go:wasmexport cordboard:plugin/meta@0.1.0#describe
func describe() uint32 { return cordboard.CallDescribe(&exported) }

//go:wasmexport cordboard:plugin/meta@0.1.0#init
func initialize(at, length uint32) uint32 { return cordboard.CallInit(&exported, at, length) }

//go:wasmexport cordboard:plugin/message-filtering@0.1.0#open
func open() { cordboard.CallOpen(&exported) }

//go:wasmexport cordboard:plugin/message-filtering@0.1.0#on-message
func onMessage() uint32 { return cordboard.CallOnMessage(&exported) }

//go:wasmexport cordboard:plugin/filter-migration@0.1.0#migrate
func migrate(at, length uint32) uint32 { return cordboard.CallMigrate(&exported, at, length) }
