//! Changes to the ALE's own sources that make it faster and change no bit of what it computes, and that have it
//! refuse damaged states.
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
const READING: &str = "emucore/Deserializer.cxx";
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
    // A state is read no further than it goes, and what does not fit is not passed over.
    one(
        "emucore/Deserializer.hxx",
        "        void close(void);\n",
        "        void close(void);\n\n\
         \x20       // The length of a list that has always the same.\n\
         \x20       unsigned getLimit(int length) { if(getInt() != length) throw \"the state has a list of another length\"; return length; }\n",
    ),
    one(
        READING,
        "  myStream.read((char*)buf, 4);\n",
        "  if(!myStream.read((char*)buf, 4))\n    throw \"the state ends too early\";\n",
    ),
    one(
        READING,
        "  int len = getInt();\n",
        "  int len = getInt();\n  if(len < 0 || len > myStream.rdbuf()->in_avail())\n    throw \"the state has a text that is too long\";\n",
    ),
    one(
        "environment/ale_state.cpp",
        "  osystem->console().system().loadState(md5, deser);\n",
        "  if(!osystem->console().system().loadState(md5, deser))\n    throw std::runtime_error(\"the state does not fit the machine\");\n",
    ),
    one(
        "emucore/Random.cxx",
        "  std::istringstream iss(deser.getString());\n\n  iss >> m_pimpl->m_randgen;\n",
        "  const std::string text = deser.getString();\n  std::istringstream iss(text);\n\n  iss >> m_pimpl->m_randgen;\n\
         \x20 // The last number is the generator's place among its 624.\n\
         \x20 const size_t last = text.find_last_of(' ');\n\
         \x20 if(!iss || last == std::string::npos || std::stoul(text.substr(last + 1)) > 624)\n    throw \"the state has no generator\";\n",
    ),
    one("emucore/M6532.cxx", "limit = (uint32_t) in.getInt();", "limit = in.getLimit(128);"),
    one("emucore/Cart3E.cxx", "limit = (uint32_t) in.getInt();", "limit = in.getLimit(32768);"),
    one("emucore/CartCV.cxx", "limit = (uint32_t) in.getInt();", "limit = in.getLimit(1024);"),
    one("emucore/CartE0.cxx", "limit = (uint32_t) in.getInt();", "limit = in.getLimit(4);"),
    one("emucore/CartF4SC.cxx", "limit = (uint32_t) in.getInt();", "limit = in.getLimit(128);"),
    one("emucore/CartF6SC.cxx", "limit = (uint32_t) in.getInt();", "limit = in.getLimit(128);"),
    one("emucore/CartF8SC.cxx", "limit = (uint32_t) in.getInt();", "limit = in.getLimit(128);"),
    one("emucore/CartFASC.cxx", "limit = (uint32_t) in.getInt();", "limit = in.getLimit(256);"),
    one(
        "emucore/CartAR.cxx",
        "limit = (uint32_t) in.getInt();\n    for(i = 0; i < limit; ++i)\n      myImageOffset[i]",
        "limit = in.getLimit(2);\n    for(i = 0; i < limit; ++i)\n      myImageOffset[i]",
    ),
    one(
        "emucore/CartAR.cxx",
        "limit = (uint32_t) in.getInt();\n    for(i = 0; i < limit; ++i)\n      myImage[i]",
        "limit = in.getLimit(8192);\n    for(i = 0; i < limit; ++i)\n      myImage[i]",
    ),
    one(
        "emucore/CartAR.cxx",
        "limit = (uint32_t) in.getInt();\n    for(i = 0; i < limit; ++i)\n      myHeader[i]",
        "limit = in.getLimit(256);\n    for(i = 0; i < limit; ++i)\n      myHeader[i]",
    ),
    one(
        "emucore/CartDPC.cxx",
        "limit = (uint32_t) in.getInt();\n    for(i = 0; i < limit; ++i)\n      myTops[i]",
        "limit = in.getLimit(8);\n    for(i = 0; i < limit; ++i)\n      myTops[i]",
    ),
    one(
        "emucore/CartDPC.cxx",
        "limit = (uint32_t) in.getInt();\n    for(i = 0; i < limit; ++i)\n      myBottoms[i]",
        "limit = in.getLimit(8);\n    for(i = 0; i < limit; ++i)\n      myBottoms[i]",
    ),
    one(
        "emucore/CartDPC.cxx",
        "limit = (uint32_t) in.getInt();\n    for(i = 0; i < limit; ++i)\n      myCounters[i]",
        "limit = in.getLimit(8);\n    for(i = 0; i < limit; ++i)\n      myCounters[i]",
    ),
    one(
        "emucore/CartDPC.cxx",
        "limit = (uint32_t) in.getInt();\n    for(i = 0; i < limit; ++i)\n      myFlags[i]",
        "limit = in.getLimit(8);\n    for(i = 0; i < limit; ++i)\n      myFlags[i]",
    ),
    one(
        "emucore/CartDPC.cxx",
        "limit = (uint32_t) in.getInt();\n    for(i = 0; i < limit; ++i)\n      myMusicMode[i]",
        "limit = in.getLimit(3);\n    for(i = 0; i < limit; ++i)\n      myMusicMode[i]",
    ),
    one(
        "emucore/CartE7.cxx",
        "limit = (uint32_t) in.getInt();\n    for(i = 0; i < limit; ++i)\n      myCurrentSlice[i]",
        "limit = in.getLimit(2);\n    for(i = 0; i < limit; ++i)\n      myCurrentSlice[i]",
    ),
    one(
        "emucore/CartE7.cxx",
        "limit = (uint32_t) in.getInt();\n    for(i = 0; i < limit; ++i)\n      myRAM[i]",
        "limit = in.getLimit(2048);\n    for(i = 0; i < limit; ++i)\n      myRAM[i]",
    ),
    one(
        "emucore/CartMC.cxx",
        "limit = (uint32_t) in.getInt();\n    for(i = 0; i < limit; ++i)\n      myCurrentBlock[i]",
        "limit = in.getLimit(4);\n    for(i = 0; i < limit; ++i)\n      myCurrentBlock[i]",
    ),
    one(
        "emucore/CartMC.cxx",
        "limit = (uint32_t) in.getInt();\n    for(i = 0; i < limit; ++i)\n      myRAM[i]",
        "limit = in.getLimit(32768);\n    for(i = 0; i < limit; ++i)\n      myRAM[i]",
    ),
];
