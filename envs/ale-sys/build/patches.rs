//! Changes to the ALE's own sources that make it faster and change no bit of what it computes.
//!
//! SPDX-License-Identifier: GPL-2.0-only, like the passages of the ALE quoted here and the files
//! `shim/*.inc` that are put into them.

/// A passage of a file below `src/ale` and what stands there instead.
pub struct Patch {
    pub file: &'static str,
    pub find: &'static str,
    pub replace: &'static str,
    /// How often the passage stands in the file: another number means another version of the ALE.
    pub count: usize,
    /// How many of them are replaced, from the top.
    pub replaced: usize,
}

const fn every(
    file: &'static str,
    count: usize,
    find: &'static str,
    replace: &'static str,
) -> Patch {
    Patch { file, find, replace, count, replaced: count }
}

const fn one(file: &'static str, find: &'static str, replace: &'static str) -> Patch {
    every(file, 1, find, replace)
}

const PROCESSOR: &str = "emucore/M6502Low.cxx";
const INSTRUCTIONS: &str = "emucore/M6502Low.ins";
const MEMORY: &str = "emucore/System.hxx";
const PICTURE: &str = "emucore/TIA.cxx";
const BLENDING: &str = "environment/phosphor_blend.cpp";

/// In the order in which they are applied.
pub const PATCHES: &[Patch] = &[
    // The processor keeps its registers in the machine's, and reads an instruction from one page.
    one(
        PROCESSOR,
        "#include \"ale/emucore/M6502Low.hxx\"",
        "// gcc would lay the four registers of a byte each into one and take it apart at every use.\n\
         #pragma GCC optimize(\"no-tree-slp-vectorize\", \"no-store-merging\", \"no-tree-vectorize\")\n\
         #include \"ale/emucore/M6502Low.hxx\"",
    ),
    one(
        PROCESSOR,
        "bool M6502Low::execute(uint32_t number)\n{\n",
        "bool M6502Low::execute(uint32_t number)\n{\n#include \"registers.inc\"\n",
    ),
    one(
        PROCESSOR,
        "IR = peek(PC++);",
        "PLIANT_FIND_PAGE();\n      IR = code(PC);\n      myLastAccessWasRead = true;\n      PC++;",
    ),
    one(
        PROCESSOR,
        "      interruptHandler();\n",
        "      PLIANT_STORE_REGISTERS();\n      interruptHandler();\n      PLIANT_LOAD_REGISTERS();\n",
    ),
    one(
        PROCESSOR,
        "    if(myExecutionStatus & StopExecutionBit)\n    {\n",
        "    if(myExecutionStatus & StopExecutionBit)\n    {\n      PLIANT_STORE_REGISTERS();\n",
    ),
    one(
        PROCESSOR,
        "    if(myExecutionStatus & FatalErrorBit)\n    {\n",
        "    if(myExecutionStatus & FatalErrorBit)\n    {\n      PLIANT_STORE_REGISTERS();\n",
    ),
    one(
        PROCESSOR,
        "    if(number == 0)\n    {\n",
        "    if(number == 0)\n    {\n      PLIANT_STORE_REGISTERS();\n",
    ),
    every(
        INSTRUCTIONS,
        74,
        "(uint16_t)peek(PC) | ((uint16_t)peek(PC + 1) << 8)",
        "(uint16_t)code(PC) | ((uint16_t)code(PC + 1) << 8)",
    ),
    every(INSTRUCTIONS, 30, "operandAddress = peek(PC++)", "operandAddress = code(PC++)"),
    every(INSTRUCTIONS, 27, "(uint8_t)(peek(PC++)", "(uint8_t)(code(PC++)"),
    every(INSTRUCTIONS, 32, "pointer = peek(PC++)", "pointer = code(PC++)"),
    one(INSTRUCTIONS, "PS(peek(0x0100 + SP));", "PLIANT_SET_STATUS(peek(0x0100 + SP));"),
    one(INSTRUCTIONS, "PS(peek(0x0100 + SP++));", "PLIANT_SET_STATUS(peek(0x0100 + SP++));"),
    every(INSTRUCTIONS, 2, " PS())", " PLIANT_STATUS())"),
    one(
        MEMORY,
        "    // Pointer to a dynamically allocated array of PageAccess structures\n",
        "    friend class M6502Low;\n    // Pointer to a dynamically allocated array of PageAccess structures\n",
    ),
    // Pixels are drawn without reading the state again after each.
    one(
        PICTURE,
        "inline void TIA::updateFrameScanline(uint32_t clocksToUpdate, uint32_t hpos)\n{\n",
        "inline void TIA::updateFrameScanline(uint32_t clocksToUpdate, uint32_t hpos)\n{\n#include \"scanline.inc\"\n",
    ),
    Patch {
        file: PICTURE,
        find: "        for(; myFramePointer < ending; ++myFramePointer, ++hpos)\n        {\n          uint8_t enabled =",
        replace: "#include \"four_pixels.inc\"\n          uint8_t enabled =",
        count: 2, // the second one is in updateFrameScanlineFast, which nobody calls
        replaced: 1,
    },
    Patch {
        file: PICTURE,
        find: "  myFramePointer = ending;\n}\n",
        replace: "  this->myFramePointer = ending;\n  this->myCollision = myCollision;\n}\n",
        count: 2,
        replaced: 1,
    },
    // Loading a game does not compute 16,384 mixed colours that are used for `color_averaging` alone.
    one(
        BLENDING,
        "  m_phosphor_blend_ratio = 77;\n\n  makeAveragePalette();\n",
        "  m_phosphor_blend_ratio = 77;\n",
    ),
];
