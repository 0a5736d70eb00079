//! The building blocks, in the notation of the module `fragment`: each constant is a list, its
//! blocks parted by white space.
//!
//! Changing a block changes the library, and with it every result that was obtained from it.

/// What sits on an arene: one exit.
pub(super) const SUBSTITUENTS: &str = "
    C* CC* CCC* CC(C)* CCC(C)* CC(C)C* C=C* C=CC* C#C* CC#C* C1CC1* C1CCC1* CC1CC1* F* Cl* Br*
    FC(F)* FC(F)C* FCC* FCCO* N#C* N#CC* N#CCC* N#CCO* O* OC* OCC* OCCC* OCCO* CC(O)* CCC(O)*
    CO* CCO* CCCO* COC* COCC* CCOC* COCO* COCCO* C=CCO* C#CCO* CC(OC)* S* CS* CCS* SC* SCC*
    CSC* CSCC* N* CN* CCN* CN(C)* CCN(C)* NC* NCC* NCCC* NCCO* CNC* CNCC* CN(C)C* CC(N)*
    NC(C)C* [NH3+]CC* [NH3+]CCO* CC(=O)* NC(=O)* O=C* O=CN* O=[N+]([O-])*
";

/// Aromatic rings between two groups: entry and exit.
pub(super) const ARENES: &str = "
    *c1ccc(*)cc1 *c1cccc(*)c1 *c1ccccc1* *c1ccc(*)nc1 *c1cncc(*)c1 *c1ccnc(*)c1 *c1cccc(*)n1
    *c1cccnc1* *c1cnc(*)nc1 *c1cnc(*)cn1 *c1ncnc(*)c1 *c1ccnc(*)n1 *c1cncc(*)n1 *c1ccc(*)nn1
    *c1cc(*)cnn1 *c1ccc(*)c(F)c1 *c1ccc(*)c(Cl)c1 *c1ccc(*)c(C)c1 *c1ccc(*)c(O)c1
    *c1cc(Cl)cc(*)c1 *c1ccc(F)c(*)c1 *c1ccc(O)c(*)c1 *c1ccc(C)c(*)c1 *c1cc(F)c(*)cn1
    *c1ncc(*)cc1F *c1ccc(*)c(C)n1 *c1cc(C)c(*)cn1 *c1cc(*)c(O)cn1 *c1ccc(*)s1 *c1cc(*)cs1
    *c1ccsc1* *c1csc(*)n1 *c1cnc(*)s1 *c1nsc(*)n1 *c1nnc(*)s1 *c1nsc(*)c1 *c1ccc(*)o1
    *c1coc(*)c1 *c1coc(*)n1 *c1cnc(*)o1 *c1cc(*)on1 *c1noc(*)n1 *c1nnc(*)o1 *c1c(C)noc1*
    *c1cc(*)n(C)n1 *c1cn(C)nc1* *c1c[nH]c(*)n1 *c1cnc(*)[nH]1 *c1nnc(*)[nH]1 *c1nc(*)n[nH]1
    *c1cnc(*)n1C *c1nnc(*)n1C *c1cc(*)n(C)c1 *c1ccc(*)n1C *c1cc(*)[nH]c1 *c1ccc(*)[nH]1
    *c1c[nH]cc1* *c1c(*)ccnc1 *c1c(*)ccnn1 *c1c(*)cnnc1 *c1c(*)cncn1 *c1c(*)nccn1 *c1c(*)cco1
    *c1c(*)coc1 *c1c(*)cno1 *c1c(*)noc1 *c1c(*)nco1 *c1c(*)nno1 *c1c(*)non1 *c1c(*)csc1
    *c1c(*)cns1 *c1c(*)nsc1 *c1c(*)ncs1 *c1c(*)nns1 *c1c(*)nsn1 *c1c(*)cc[nH]1 *c1c(*)cn[nH]1
    *c1cc(*)n[nH]1 *c1c(*)n[nH]c1 *c1c(*)nc[nH]1 *c1c(*)nn[nH]1 *c1c(*)n[nH]n1 *c1c(*)ccn1C
    *c1c(*)cn(C)c1 *c1c(*)cnn1C *c1c(*)ncn1C *c1nc(*)n(C)c1 *c1c(*)nnn1C *c1nc(*)nn1C
    *c1c(*)nn(C)n1
";

/// Aromatic rings, single and fused: one exit, on a carbon.
pub(super) const AROMATIC_HEADS: &str = "
    c1ccc(*)cc1 c1ccc(*)nc1 c1cncc(*)c1 c1cc(*)ccn1 c1cnc(*)nc1 c1cnc(*)cn1 c1ncc(*)cn1
    c1cc(*)ncn1 c1ccc(*)nn1 c1cc(*)cnn1 c1ncnc(*)n1 c1coc(*)c1 c1cc(*)co1 c1csc(*)c1 c1cc(*)cs1
    c1coc(*)n1 c1nc(*)co1 c1csc(*)n1 c1nc(*)cs1 c1cc(*)on1 c1cc(*)no1 c1nnc(*)o1 c1nnc(*)s1
    c1nsc(*)n1 c1c[nH]c(*)n1 c1nc(*)c[nH]1 c1cc(*)n[nH]1 c1n[nH]cc1* c1cc(*)[nH]c1
    c1nnc(*)[nH]1 Cn1cc(*)cn1 Cn1ccc(*)n1 Cn1nccc1* Cn1ccnc1* Cn1cnc(*)c1 Cn1cccc1* Cn1ccc(*)c1
    Cn1nnc(*)c1 CCn1cc(*)cn1 CCn1cccc1* Cc1noc(C)c1* Cc1n[nH]c(C)c1* Cc1nc(C)c(*)s1
    Fc1c(F)cccc1* Clc1c(Cl)cccc1* Cc1cccc(C)c1* Fc1cccc(F)c1* Cc1c(F)cccc1* Oc1c(F)cccc1*
    c1ccc2[nH]ccc2c1* c1cc2[nH]ccc2cc1* c1cc2occc2cc1* c1cc2ncsc2cc1* n1occ(*)c1 n1coc(*)c1
    n1noc(*)c1 n1occ(*)n1 c1noc(*)n1 c1onc(*)n1 n1onc(*)c1 c1nsc(*)c1 n1scc(*)c1 c1snc(*)c1
    n1csc(*)c1 n1nsc(*)c1 n1scc(*)n1 c1snc(*)n1 n1snc(*)c1 c1[nH]cc(*)c1 c1n[nH]c(*)c1
    n1c[nH]c(*)c1 n1n[nH]c(*)c1 n1[nH]cc(*)n1 c1n[nH]c(*)n1 c1[nH]nc(*)n1 n1[nH]nc(*)c1
    n1cn(C)c(*)c1 n1nn(C)c(*)c1 c1nn(C)c(*)n1 c1n(C)nc(*)n1 n1cn(C)c(*)n1 n1n(C)nc(*)c1
";

/// Saturated rings: one exit, on a carbon.
pub(super) const SATURATED_HEADS: &str = "
    C1CC1* C1CC(*)C1 C1CCC(*)C1 C1CCC(*)CC1 C1CCCC(*)CC1 C1CC=CCC1* CC1CC1* CC1(*)CC1 FC1CC1*
    FC1(F)CC1* OC1CC(*)C1 OC1CCC(*)CC1 OC1(*)CCC1 CC1CCC(*)CC1 N#CC1(*)CC1 CC1(C)CC1*
    CC1(*)CCC1 OC1CCCC1* O=C1CC(*)C1 COC1CC(*)C1 C1CC2CC2C1* C1C2CC2CC1* NC1CC(*)C1
    [NH3+]C1CC(*)C1 [NH3+]C1CCC(*)CC1 C1OCC1* C1CC(*)O1 C1CC(*)CO1 C1COC(*)C1 C1CC(*)CCO1
    C1CCC(*)CO1 C1CCOC(*)C1 C1COCC(*)O1 CC1COC(*)C1 CC1(*)COC1 C1OCC(*)O1 C1CSC(*)C1 C1CCC(*)N1
    C1CC(*)CN1 C1CC(*)CCN1 C1CCC(*)CN1 C1CNCC(*)O1 CN1CC(*)C1 CN1CCC(*)C1 CN1CCC(*)CC1
    CN1CCCC1* CN1CCOC(*)C1 O=C1CCC(*)N1 O=C1CC(*)CN1 O=C1OCC(*)C1 FC1CCC(*)CN1 C1CC(*)S1
    S1CC(*)C1 C1CC(*)N1 N1CC(*)C1 C1CC(*)N1C FC1CC(*)C1 CC1CC(*)C1 N#CC1CC(*)C1 SC1CC(*)C1
    FC1(F)CC(*)C1 S1CCC(*)C1 OC1CCC(*)C1 FC1CCC(*)C1 CC1CCC(*)C1 NC1CCC(*)C1 COC1CCC(*)C1
    O=C1CCC(*)C1 N#CC1CCC(*)C1 SC1CCC(*)C1 FC1(F)CCC(*)C1 C1CCCC(*)S1 S1CCCC(*)C1 C1SCCC(*)C1
    C1CCCC(*)N1 C1CCCC(*)N1C CN1CCCC(*)C1 OC1CCCC(*)C1 FC1CCCC(*)C1 C1C(F)CCC(*)C1 CC1CCCC(*)C1
    NC1CCCC(*)C1 C1C(N)CCC(*)C1 COC1CCCC(*)C1 C1C(OC)CCC(*)C1 O=C1CCCC(*)C1 C1C(=O)CCC(*)C1
    N#CC1CCCC(*)C1 C1C(C#N)CCC(*)C1 SC1CCCC(*)C1 C1C(S)CCC(*)C1 C1C(F)(F)CCC(*)C1
";

/// Chains of an acid: one exit, on a carbon.
pub(super) const ALKYL_HEADS: &str = "
    CC* CCC* CC(C)* CCCC* CC(C)C* CCC(C)* CC(C)CC* CCC(CC)* C=CC* CC=CC* C#CC* C#CCC* CC#CC*
    N#CC* N#CCC* N#CC(C)* COC* COCC* CCOC* COC(C)* CCOCC* CC(C)OC* COCCOC* OC* OCC* CC(O)*
    CC(O)C* OCCC* CSC* CSCC* CCSC* SC* CN(C)C* CN(C)CC* CNC* NC* NCC* NCCC* CC(N)* FCC* FC(F)*
    FC(F)C* CC(F)* CC(F)C* CC(=O)* CC(=O)C* NC(=O)C* [NH3+]CC* [NH3+]CCC* CC[C@H](C)*
    CC[C@@H](C)* C[C@H](O)* C[C@@H](O)* O=CNC* CC(OC)C* CCO* CO*
";

/// Secondary amines that are a ring, and azoles: one entry, on the nitrogen.
pub(super) const CYCLIC_AMINES: &str = "
    *N1CC1 *N1CCC1 *N1CCCC1 *N1CCCCC1 *N1CCCCCC1 *N1CC=CC1 *N1CCC=CC1 *N1CC(C)C1 *N1CC(C)(C)C1
    *N1CCC(C)C1 *N1CCCC1C *N1CCC(C)CC1 *N1CCCC(C)C1 *N1CCCCC1C *N1CC2CC2C1 *N1CC2CCC1C2
    *N1C2CCC1CC2 *N1CC(F)C1 *N1CC(F)(F)C1 *N1CCC(F)C1 *N1CCC(F)CC1 *N1CCCC(F)C1 *N1CC(C#N)C1
    *N1CCC(C#N)C1 *N1CC(O)C1 *N1CCC(O)C1 *N1CC[C@H](O)C1 *N1CC[C@@H](O)C1 *N1CCC(O)CC1
    *N1CCCC(O)C1 *N1CC(CO)C1 *N1CCC(CO)C1 *N1CCCC1CO *N1CCC[C@H]1CO *N1CCC[C@@H]1CO
    *N1CCC(CO)CC1 *N1CC(OC)C1 *N1CCC(OC)C1 *N1CCC(OC)CC1 *N1CCC[C@H]1COC *N1CCC[C@@H]1COC
    *N1CCOCC1 *N1CCOCC1C *N1CCOC(C)C1 *N1CCOC1 *N1CCCOCC1 *N1CCSCC1 *N1CCSC1 *N1CCSC(C)C1
    *N1CCNCC1 *N1CCNC(C)C1 *N1CCN(C)CC1 *N1CCN(CC)CC1 *N1CCCN(C)CC1 *N1CCNCCC1 *N1CCNC(=O)C1
    *N1CC(N)C1 *N1CCC(N)C1 *N1CCC(N)CC1 *N1CCC([NH3+])C1 *N1CCC([NH3+])CC1 *N1CC([NH3+])C1
    *N1CCC(=O)C1 *N1CCC(=O)CC1 *n1cccn1 *n1ccnc1 *n1cncn1 *n1ccnn1 *N1CC(C(N)=O)C1 *N1CC(NC)C1
    *N1CC(N(C)C)C1 *N1CC(=O)C1 *N1CC(C)(O)C1 *N1CC(S)C1 *N1CC(CN)C1 *N1CC(CC)C1
    *N1CC(C(=O)[O-])C1 *N1CC(NC=O)C1 *N1CC(F)(F)CC1 *N1CC(C)(C)CC1 *N1CC(C(N)=O)CC1
    *N1CC(NC)CC1 *N1CC(N(C)C)CC1 *N1CC(C)(O)CC1 *N1CC(S)CC1 *N1CC(CN)CC1 *N1CC(CC)CC1
    *N1CC(C(=O)[O-])CC1 *N1CC(NC=O)CC1 *N1CC(N)CCC1 *N1CC(OC)CCC1 *N1CC(CO)CCC1 *N1CC(C#N)CCC1
    *N1CC(F)(F)CCC1 *N1CC(C)(C)CCC1 *N1CC(C(N)=O)CCC1 *N1CC(NC)CCC1 *N1CC(N(C)C)CCC1
    *N1CC(=O)CCC1 *N1CC(C)(O)CCC1 *N1CC(S)CCC1 *N1CC(CN)CCC1 *N1CC(CC)CCC1 *N1CC(C(=O)[O-])CCC1
    *N1CC([NH3+])CCC1 *N1CC(NC=O)CCC1 *N1CCC(C#N)CC1 *N1CCC(F)(F)CC1 *N1CCC(C)(C)CC1
    *N1CCC(C(N)=O)CC1 *N1CCC(NC)CC1 *N1CCC(N(C)C)CC1 *N1CCC(C)(O)CC1 *N1CCC(S)CC1 *N1CCC(CN)CC1
    *N1CCC(CC)CC1 *N1CCC(C(=O)[O-])CC1 *N1CCC(NC=O)CC1 *N1CCS(=O)(=O)CC1 *N1CCN(C=O)CC1
    *N1CCN(C(C)=O)CC1 *N1CCN(CCO)CC1 *N1CCSCCC1 *N1CCS(=O)(=O)CCC1 *N1CCN(CC)CCC1
    *N1CCN(C=O)CCC1 *N1CCN(C(C)=O)CCC1 *N1CCN(CCO)CCC1
";

/// Other amines, anilines among them: one entry, on the nitrogen.
pub(super) const OPEN_AMINES: &str = "
    *NCC *NCCC *NC(C)C *NCC(C)C *NC(C)CC *NC(C)(C)C *NCCCC *NCCC(C)C *NCC(C)(C)C *NC(CC)CC
    *N(C)CC *N(CC)CC *N(C)C(C)C *N(C)CC(C)C *NCC=C *NCC#C *N(C)CC=C *N(C)CC#C *NC(C)C#C *NCCC#C
    *NCC#N *NCCC#N *N(C)CC#N *NC(C)(C)C#N *NCC(F)F *NCC(F)(F)F *NCCC(F)(F)F *N(C)CC(F)F *NCCO
    *NCCCO *NCC(C)O *NC(C)CO *NC[C@H](C)O *NC[C@@H](C)O *N[C@H](C)CO *N[C@@H](C)CO *NCC(C)(C)O
    *NC(C)(C)CO *N(C)CCO *NCC(O)CO *NCCOC *NCCCOC *N(C)CCOC *NC(C)COC *NCCOCC *NCCOCCO
    *NCC(C)OC *NCC(F)CO *NO *NOC *N(C)OC *NOCC *NOCC=C *NCCS *NCCSC *NCCCSC *N(C)CCSC *NCCN
    *NCCCN *NCCNC *NCCN(C)C *NCCCN(C)C *N(C)CCN(C)C *NCC(C)(C)N *NCC[NH3+] *NCCC[NH3+]
    *N(C)CC[NH3+] *NN *NNC *NNC(C)=O *NCCNC(C)=O *NCCNC=O *NCC(N)=O *NCCC(N)=O *N(C)CC(N)=O
    *NC(C)C(N)=O *N[C@H](C)C(N)=O *N[C@@H](C)C(N)=O *NCC(=O)OC *NCCC(=O)OC *NCC(=O)[O-]
    *NCCC(=O)[O-] *N(C)CC(=O)[O-] *NC(C)C(=O)[O-] *N[C@H](C)C(=O)[O-] *N[C@@H](C)C(=O)[O-]
    *NCC(C)=O *NCCC(C)=O *NC1CC1 *NC1CCC1 *NC1CCCC1 *NC1CCCCC1 *NC1CCCCCC1 *N(C)C1CC1
    *N(C)C1CCC1 *NC1(C)CC1 *NC1CC(F)C1 *NC1CC(O)C1 *NC1CC(C)C1 *NC1CCCC1O *NC1(C#N)CC1
    *NC1(CO)CC1 *NC1COC1 *NC1CCOC1 *NC1CCOCC1 *NC1CCSC1 *NC1CCNC1 *NC1CCNCC1 *NC1CN(C)C1
    *NC1CCN(C)C1 *NCC1CC1 *NCC1CCC1 *NCC1CCCC1 *NCC1CCCCC1 *N(C)CC1CC1 *NC(C)C1CC1 *NCCC1CC1
    *NCC1(C)CC1 *NCC1(O)CC1 *NCC1(C)COC1 *NCC1COC1 *NCC1CCO1 *NCC1CCCO1 *NCC1CCOC1 *NCC1CCOCC1
    *NC[C@H]1CCCO1 *NC[C@@H]1CCCO1 *NCC1CCCN1 *NCC1CCNC1 *NCC1CCNCC1 *NCCN1CCCC1 *NCCN1CCOCC1
    *NCc1ccccc1 *NCCc1ccccc1 *NCc1ccccn1 *NCc1cccnc1 *NCc1ccncc1 *NCc1cnccn1 *NCc1ncccn1
    *NCCc1cccnc1 *NCCc1ccccn1 *NCc1ccco1 *NCc1ccoc1 *NCc1cccs1 *NCc1ccsc1 *NCCc1cccs1
    *NCc1cscn1 *NCc1nccs1 *NCc1cnco1 *NCc1ncco1 *NCc1ccno1 *NCc1ccon1 *NCc1c[nH]cn1
    *NCCc1c[nH]cn1 *NCc1ccn[nH]1 *NCc1cn[nH]c1 *NCc1ccc[nH]1 *NCc1nnc[nH]1 *NCc1nccn1C
    *NCc1cccn1C *NCCn1cccn1 *NCCn1ccnc1 *Nc1ccccc1 *Nc1ccccn1 *Nc1cccnc1 *Nc1ccncc1 *Nc1ncccn1
    *Nc1cnccn1 *Nc1cncnc1 *Nc1ccncn1 *Nc1cccnn1 *Nc1nccs1 *Nc1cscn1 *Nc1ccon1 *Nc1ccno1
    *Nc1cn[nH]c1 *Nc1ccn[nH]1 *Nc1ncc[nH]1 *Nc1nnc[nH]1 *Nc1nncs1 *Nc1nnco1 *Nc1cnn(C)c1
    *Nc1ccn(C)n1 *Nc1ccnn1C *Nc1nccn1C *Nc1ccnnc1 *Nc1ncncn1 *Nc1ccco1 *Nc1ccoc1 *Nc1cccs1
    *Nc1ccsc1 *Nc1cncs1 *Nc1cnco1 *Nc1ncco1 *Nc1cnoc1 *Nc1cncn1C *Nc1cccn1C *Nc1nncn1C
    *Nc1c[nH]cn1 *Nc1ccc[nH]1 *Nc1cc[nH]c1 *Nc1ncoc1 *Nc1cnno1 *Nc1nnoc1 *Nc1ncno1 *Nc1nocn1
    *Nc1cnon1 *Nc1ccns1 *Nc1cnsc1 *Nc1nscc1 *Nc1cnns1 *Nc1nnsc1 *Nc1ncns1 *Nc1nscn1 *Nc1cnsn1
    *Nc1n[nH]cc1 *Nc1cnc[nH]1 *Nc1cnn[nH]1 *Nc1nn[nH]c1 *Nc1ncn[nH]1 *Nc1n[nH]cn1 *Nc1cn[nH]n1
    *Nc1cnnn1C *Nc1ncnn1C *NCc1cncnc1 *NCc1ccncn1 *NCc1cccnn1 *NCc1ccnnc1 *NCc1ncncn1
    *NCc1cncs1 *NCc1cnoc1 *NCc1nnco1 *NCc1nncs1 *NCc1cncn1C *NCc1ccnn1C *NCc1nncn1C
    *NCc1ncc[nH]1 *NCc1cc[nH]c1 *NCc1ncoc1 *NCc1cnno1 *NCc1nnoc1 *NCc1ncno1 *NCc1nocn1
    *NCc1cnon1 *NCc1ccns1 *NCc1cnsc1 *NCc1nscc1 *NCc1cnns1 *NCc1nnsc1 *NCc1ncns1 *NCc1nscn1
    *NCc1cnsn1 *NCc1n[nH]cc1 *NCc1cnc[nH]1 *NCc1cnn[nH]1 *NCc1nn[nH]c1 *NCc1ncn[nH]1
    *NCc1n[nH]cn1 *NCc1cn[nH]n1 *NCc1cnnn1C *NCc1ncnn1C
";

/// Aromatic rings, single and fused: one entry, on a carbon.
pub(super) const AROMATIC_TAILS: &str = "
    *c1ccccc1 *c1ccncc1 *c1cccnc1 *c1ccccn1 *c1ncccn1 *c1cnccn1 *c1cncnc1 *c1ccncn1 *c1cccnn1
    *c1ccnnc1 *c1ncncn1 *c1ccco1 *c1ccoc1 *c1cccs1 *c1ccsc1 *c1cscn1 *c1nccs1 *c1cncs1 *c1cnco1
    *c1ncco1 *c1ccno1 *c1ccon1 *c1cnoc1 *c1nnco1 *c1nncs1 *c1cnn(C)c1 *c1ccn(C)n1 *c1nccn1C
    *c1cncn1C *c1ccnn1C *c1cn(C)cn1 *c1cccn1C *c1ccn(C)c1 *c1cn(C)nn1 *c1nncn1C *c1cnn(CC)c1
    *c1cnn(CCO)c1 *c1c[nH]cn1 *c1ccn[nH]1 *c1cn[nH]c1 *c1ncc[nH]1 *c1ccc[nH]1 *c1cc[nH]c1
    *c1nnc[nH]1 *c1c(C)noc1C *c1c(C)n[nH]c1C *c1cccc(F)c1F *c1c(F)cccc1F *c1c(C)cccc1C
    *c1cc(F)ccc1F *c1cccc(C)c1F *c1nc2ccccc2[nH]1 *c1nc2ccccc2s1 *c1nc2ccccc2o1 *c1cc2ccccc2o1
    *c1cc2ccccc2s1 *c1cc2ccccc2[nH]1 *c1csc2ccccc12 *c1coc2ccccc12 *c1c[nH]c2ccccc12
    *c1n[nH]c2ccccc12 *c1nsc2ccccc12 *c1noc2ccccc12 *c1nc2cccnc2[nH]1 *c1cc2cccnc2[nH]1
    *c1c[nH]c2ncccc12 *c1cc2sccc2s1 *c1nc2sccn2c1 *c1ccc2[nH]ccc2c1 *c1ccc2cc[nH]c2c1
    *c1cccc2[nH]ccc12 *c1ccc2occc2c1 *c1ccc2sccc2c1 *c1ccc2ncsc2c1 *c1ccc2ncoc2c1
    *c1cn2ccccc2n1 *c1cnc2[nH]ccc2c1 *c1ncoc1 *c1cnno1 *c1nnoc1 *c1ncno1 *c1nocn1 *c1cnon1
    *c1ccns1 *c1cnsc1 *c1nscc1 *c1cnns1 *c1nnsc1 *c1ncns1 *c1nscn1 *c1cnsn1 *c1n[nH]cc1
    *c1cnc[nH]1 *c1cnn[nH]1 *c1nn[nH]c1 *c1ncn[nH]1 *c1n[nH]cn1 *c1cn[nH]n1 *c1cnnn1C *c1ncnn1C
    *c1nn(C)cn1 *c1cnn(C)n1
";

/// Saturated rings: one entry, on a carbon.
pub(super) const SATURATED_TAILS: &str = "
    *C1CC1 *C1CCC1 *C1CCCC1 *C1CCCCC1 *C1CCCCCC1 *C1CC=CC1 *C1(C)CC1 *C1(C)CCC1 *C1CC1C
    *C1CC1(C)C *C1CCC(C)CC1 *C1CC1(F)F *C1CC(F)C1 *C1CC(O)C1 *C1CCC(O)CC1 *C1(O)CCC1
    *C1(O)CCCC1 *C1CC(OC)C1 *C1(C#N)CC1 *C1CC(=O)C1 *C1CC2CC2C1 *C1CC2CCC1C2 *C1CC(N)C1
    *C1CC([NH3+])C1 *C1CCC([NH3+])CC1 *C1COC1 *C1CCO1 *C1CCOC1 *C1CCCO1 *C1CCOCC1 *C1CCCOC1
    *C1CCCCO1 *C1COCCO1 *C1(C)COC1 *C1CCC(C)O1 *C1COCO1 *C1CCSC1 *C1CSC1 *C1CCSCC1 *C1CNC1
    *C1CCNC1 *C1CCCN1 *C1CCNCC1 *C1CCCNC1 *C1CNCCO1 *C1CN(C)C1 *C1CCN(C)C1 *C1CCN(C)CC1
    *C1CCCN1C *C1CN(C)CCO1 *C1CNC(=O)C1 *C1COC(=O)C1 *C1CCC(F)CN1 *C1SCC1 *C1NCC1 *C1N(C)CC1
    *C1CC(C)C1 *C1CC(C#N)C1 *C1CC(S)C1 *C1CC(F)(F)C1 *C1SCCC1 *C1CC(O)CC1 *C1CC(F)CC1
    *C1CC(C)CC1 *C1CC(N)CC1 *C1CC(OC)CC1 *C1CC(=O)CC1 *C1CC(C#N)CC1 *C1CC(S)CC1 *C1CC(F)(F)CC1
    *C1SCCCC1 *C1CSCCC1 *C1NCCCC1 *C1N(C)CCCC1 *C1CN(C)CCC1 *C1CC(O)CCC1 *C1CC(F)CCC1
    *C1CCC(F)CC1 *C1CC(C)CCC1 *C1CC(N)CCC1 *C1CCC(N)CC1 *C1CC(OC)CCC1 *C1CCC(OC)CC1
    *C1CC(=O)CCC1 *C1CCC(=O)CC1 *C1CC(C#N)CCC1 *C1CCC(C#N)CC1 *C1CC(S)CCC1 *C1CCC(S)CC1
    *C1CCC(F)(F)CC1
";

/// Chains of an acid: one entry, on a carbon.
pub(super) const ALKYL_TAILS: &str = "
    *CC *CCC *C(C)C *CC(C)C *CCC(C)C *C(C)CC *CC=C *CC#C *CCC#C *C(C)C#C *CC#N *CCC#N *C(C)C#N
    *CC(F)F *C(F)F *CCO *CCCO *CC(C)O *C(C)CO *CCOC *CCCOC *CC(C)OC *CCOCC *C(C)OC *CCS *CCSC
    *CCN *CCCN *CCN(C)C *CN(C)C *CNC *CCNC *C(C)N *CC[NH3+] *CCC[NH3+] *CC(N)=O *CC(=O)[O-]
    *CC(C)=O *CNC=O
";

/// Azines whose chlorine an amine replaces: one exit.
pub(super) const AZINES: &str = "
    Clc1cc(*)ncn1 Clc1ccnc(*)n1 Clc1cnc(*)nc1 Fc1cnc(*)nc1 Fc1cc(*)ncn1 Clc1ccc(*)nn1
    Clc1cnc(*)cn1 Nc1nc(*)ccn1 Nc1cc(*)ncn1 Nc1ncnc(*)n1 Nc1cnc(*)nc1 Cc1ccnc(*)n1 Cc1cc(*)ncn1
    Cc1cnc(*)nc1 Cc1nc(*)ccn1 CCc1cc(*)ncn1 COc1cc(*)ncn1 COc1ccc(*)nn1 COc1cnc(*)nc1
    N#Cc1ccc(*)nc1 N#Cc1ccnc(*)n1 N#Cc1cnc(*)nc1 N#Cc1ccc(*)nn1 Cc1nnc(*)s1 Cc1nsc(*)n1
    Cc1csc(*)n1
";
