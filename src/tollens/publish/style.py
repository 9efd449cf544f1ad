"""The look of a report: one style sheet, system fonts, no image, no script."""

STYLE = """
:root{color-scheme:light;--ink:#1a1a1a;--soft:#4d4d4d;--line:#d6d6d6;--pale:#f6f6f4;--accent:#0072B2}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-padding-top:1rem}
body{margin:0;background:#fff;color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,
"DejaVu Sans",sans-serif}
main{max-width:1120px;margin:0 auto;padding:0 16px 64px}
h1{font-size:1.75rem;line-height:1.2;margin:.4rem 0 .2rem}
h2{font-size:1.3rem;line-height:1.3;margin:3rem 0 .4rem;padding-top:.8rem;border-top:2px solid var(--ink)}
p{margin:.4rem 0;max-width:72ch}
a{color:#005a8c}
.soft{color:var(--soft)}
code,.mono{font-family:ui-monospace,SFMono-Regular,Menlo,"DejaVu Sans Mono",monospace;font-size:max(.92em,14px);
overflow-wrap:anywhere}
header{padding:28px 0 0}
.brand{font-size:.95rem;color:var(--soft);letter-spacing:.02em}
.verdict{display:inline-block;font-size:1.35rem;font-weight:700;letter-spacing:.03em;
border:3px solid var(--tone);
padding:.1em .6em;margin:.5rem 0 .2rem}
.killed{--tone:#b23c00;border-style:double;border-width:6px}.findings{--tone:#8a5a00;border-style:dashed}
.clean,.survived{--tone:#00694c}.undetermined{--tone:#595959;border-style:dotted}
.headline{font-size:1.15rem}
nav{display:flex;flex-wrap:wrap;gap:.2rem 1.1rem;margin:1rem 0 0}
nav a{padding:.3rem 0}
dl{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:.15rem 1.2rem;margin:.8rem 0}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
.claim{background:var(--pale);border-left:5px solid var(--ink);padding:.6rem 1rem;margin:1rem 0}
figure{margin:1rem 0}
svg{display:block;width:100%;height:auto}
svg text{paint-order:stroke;font-family:system-ui,-apple-system,"Segoe UI",Roboto,"DejaVu Sans",sans-serif}
figcaption,.key{font-size:14px;color:var(--soft)}
.key{display:flex;flex-wrap:wrap;gap:.15rem 1rem;list-style:none;margin:.3rem 0;padding:0;color:var(--ink)}
.key li{display:inline-flex;align-items:center;gap:.4rem}
.key svg{flex:none;width:22px;height:16px}
.narrow{display:none}
ol.found{padding-left:1.8rem}ol.found li{margin:.7rem 0}ol.found li::marker{font-weight:700}
.tag{display:inline-block;border:1.5px solid var(--ink);padding:0 .4em;font-weight:700;font-size:14px;
white-space:nowrap}
.name{font-weight:700;overflow-wrap:anywhere}
details.card{border:1px solid var(--line);margin:.8rem 0;background:#fff}
details.card>summary{cursor:pointer;padding:.7rem 1rem;overflow-wrap:anywhere}
details.card[open]>summary{background:var(--pale);border-bottom:1px solid var(--line)}
.number{color:var(--soft);font-variant-numeric:tabular-nums;margin-right:.3rem}
.body{padding:.6rem 1rem 1rem}
.two{display:grid;grid-template-columns:minmax(0,460px) minmax(0,1fr);gap:.5rem 2rem;align-items:start}
table{border-collapse:collapse;font-size:14px;line-height:1.4;font-variant-numeric:tabular-nums}
th,td{padding:.3rem .9rem .3rem 0;text-align:left;vertical-align:top;border-bottom:1px solid var(--line)}
thead th{border-bottom:1.5px solid var(--ink);font-weight:600;vertical-align:bottom}
td.n,th.n{text-align:right;white-space:nowrap}
th[scope=row]{font-weight:400}
.numbers{width:100%}.numbers td:last-child,.numbers th:last-child{padding-right:0}
.small{font-size:14px;color:var(--soft)}
.out{font-weight:700}
.scroll{overflow-x:auto;max-width:100%;border:1px solid var(--line);padding:.2rem .6rem}
.scroll:focus-visible{outline:3px solid var(--accent)}
.scroll .name{font-weight:400;min-width:20ch;max-width:34ch}
.scroll td:last-child{min-width:48ch}
.scroll .figures{width:100%}.scroll .figures td:last-child,.figures th:last-child{min-width:0;padding-right:0}
.words dt{font-weight:700;color:var(--ink)}
ul.plain{padding-left:1.2rem}ul.plain li{margin:.3rem 0;overflow-wrap:anywhere}
.columns{columns:2;column-gap:2.5rem}
@media(max-width:760px){
.wide{display:none}.narrow{display:block}.two{grid-template-columns:minmax(0,1fr)}.columns{columns:1}
dl:not(.pairs){grid-template-columns:minmax(0,1fr)}dl:not(.pairs) dd{margin-bottom:.4rem}
.body{padding:.4rem .7rem .8rem}details.card>summary{padding:.6rem .7rem}
.numbers td.n,.numbers th.n{white-space:normal}
th,td{padding-right:.6rem}h1{font-size:1.45rem}.claim{padding:.5rem .7rem}
}
@media(min-width:761px){.scroll .name{white-space:nowrap;max-width:none}}
@media print{details.card{break-inside:avoid}nav{display:none}}
"""
