/** The one style sheet of the report: light and dark, paper and phone. The tones are those of the charts. */
import { CHART_STYLE, LIGHT } from '../../shared/charts/style.js';

const light = Object.entries(LIGHT)
  .map(([name, value]) => `--${name}:${value}`)
  .join(';');

/** CSS, as it stands in the page. */
export const STYLE = `
:root{color-scheme:light dark;--bg:#f4f6f8;--track:#edf0f4;${light}}
@media screen and (prefers-color-scheme:dark){:root{--bg:#0d1117;--card:#161c24;--ink:#e9edf2;--soft:#9ba8b7;--line:#2a323d;--track:#232b35;--fed:#42cfc0;--alone:#f0a35a;--central:#b8a0ff;--drop:#ff8176}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;-webkit-text-size-adjust:100%;overflow-wrap:anywhere}
main{max-width:1040px;margin:0 auto;padding:28px 20px 60px}
.hero,section{background:var(--card);border:1px solid var(--line);border-radius:16px;padding:26px 30px;margin:0 0 20px}
.hero{border-top:5px solid var(--fed);padding-top:20px}
.hero.failed{border-top-color:var(--drop)}.hero.stopped,.hero.budget-exhausted{border-top-color:var(--alone)}.hero.running{border-top-color:var(--central)}
.hero>:last-child,section>:last-child{margin-bottom:0!important}
.brand{display:flex;align-items:center;gap:10px;margin:0 0 14px;color:var(--soft);font-size:14px}
.birds{width:36px;height:22px;fill:none;stroke:var(--fed);stroke-width:2.2;stroke-linecap:round}
.status{margin-left:auto;padding:2px 12px;border-radius:99px;border:1px solid currentColor;font-weight:600;font-size:13px;color:var(--fed);white-space:nowrap}
.status.failed{color:var(--drop)}.status.stopped,.status.budget-exhausted{color:var(--alone)}.status.running{color:var(--central)}
h1{margin:0;font-size:20px;line-height:1.3;font-weight:650}
h1 small{font-size:15px;font-weight:400;color:var(--soft)}
.outcome{margin:8px 0 14px;font-size:clamp(25px,4.4vw,40px);line-height:1.2;font-weight:650;letter-spacing:-.018em;text-wrap:balance}
.outcome b{color:var(--fed);font-weight:750}
.lead{max-width:74ch;margin:0 0 18px;color:var(--soft)}
.reason{margin:0 0 16px;padding:9px 14px;border-left:4px solid var(--alone);background:var(--track);border-radius:0 8px 8px 0}
.reason.failed{border-color:var(--drop)}.reason.completed{border-color:var(--fed)}
h2{margin:0 0 14px;font-size:21px;line-height:1.25;letter-spacing:-.01em}
section>p{margin:0 0 14px;max-width:80ch}
.more,.none,figcaption span,small{color:var(--soft)}
.more,.none{font-size:14px}
th,dt,h1,h2{overflow-wrap:break-word}
table{border-collapse:collapse;width:100%;font-size:15px}
caption{text-align:left;color:var(--soft);font-size:14px;padding-bottom:4px}
th{text-align:left;font-weight:500}
td,th{padding:7px 12px 7px 0;vertical-align:middle}
td:last-child,th:last-child{padding-right:0}
thead th{color:var(--soft);font-size:13px;border-bottom:1px solid var(--line);white-space:nowrap}
tbody tr+tr>*{border-top:1px solid var(--line)}
.number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
td.fed,.legend .fed,.up{color:var(--fed)}td.alone,.legend .alone{color:var(--alone)}td.central{color:var(--central)}.down{color:var(--drop)}
.versus{border-top:1px solid var(--line);margin-top:4px}
.versus caption{padding-top:12px;caption-side:top}
.versus tr>*{border:0!important;padding-top:5px;padding-bottom:5px}
.versus th{white-space:nowrap;width:1%}
.versus td.number{font-weight:650;width:1%;padding-left:12px}
.versus td.own{font-weight:400}
.versus .wide{width:100%}.versus th.number{width:1%;padding-left:12px}
.versus .meter{height:18px}
.meter{display:block;width:100%;height:7px;border-radius:4px;margin:2px 0}
.track{fill:var(--track)}
.clients .wide{width:38%;min-width:110px}
.clients tbody th{max-width:16em}
.detail{color:var(--soft);font-size:14px}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:0 0 20px}
.tiles div{background:var(--card);border:1px solid var(--line);border-radius:14px;padding:13px 14px}
.tiles dt{font-size:13px;color:var(--soft)}
.tiles dd{margin:2px 0 0;font-size:20px;line-height:1.25;font-weight:650;letter-spacing:-.01em;white-space:nowrap}
.tiles small{display:block;font-size:13px;font-weight:400;letter-spacing:0;white-space:normal}
.charts,.artefacts{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(270px,100%),1fr));gap:24px 28px}
.artefacts{grid-template-columns:repeat(auto-fill,minmax(min(420px,100%),1fr))}
figure{margin:0;min-width:0}
.large{grid-column:1/-1}
.charts+.charts,.large+.charts{margin-top:24px}
figcaption{font-size:15px;line-height:1.4;margin-bottom:4px}
figcaption b{text-transform:none}
figcaption span{font-size:13px}
.legend{display:inline-flex;gap:12px;margin-left:8px}
.legend svg{width:12px;height:12px;margin-right:4px}
th .legend{margin:0}
.chart{display:block;width:100%;height:auto;overflow:visible}
.on-narrow{display:none}
${CHART_STYLE}.hit{fill:transparent}
.hover>path{stroke:var(--soft);stroke-dasharray:2 3;visibility:hidden}
.chart .hover>text{visibility:hidden;fill:var(--ink);font-weight:600}
.hover:hover>path,.chart .hover:hover>text{visibility:visible}
.hover:hover>.bar{opacity:.75}
.privacy{display:grid;grid-template-columns:1fr 1fr;gap:28px;align-items:start}
.privacy p{margin:0 0 12px}
.epsilon{font-size:30px;font-weight:650;line-height:1.2}
.epsilon small{font-size:16px;font-weight:400}
img,video{display:block;max-width:100%;height:auto;border-radius:10px;border:1px solid var(--line);background:#fff;image-rendering:auto}
.artefacts img{width:100%}
pre{margin:0 0 12px;padding:14px 16px;background:var(--track);border-radius:10px;font-size:13.5px;line-height:1.5;max-height:420px;overflow:auto;white-space:pre-wrap}
code,pre{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
code{font-size:.9em}
th code{white-space:nowrap}
.keep{display:inline-block}
.facts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(230px,100%),1fr));gap:12px 28px;margin:0 0 16px}
.facts dt{font-size:13px;color:var(--soft)}
.facts dd{margin:0}
.scroll{overflow-x:auto}
details{margin-top:12px}
summary{cursor:pointer;color:var(--fed);font-weight:600;font-size:15px}
th button{all:unset;cursor:pointer;border-radius:4px}
th button:focus-visible,summary:focus-visible,pre:focus-visible,a:focus-visible{outline:2px solid var(--fed);outline-offset:2px}
th[aria-sort=ascending] button::after{content:" ↑"}th[aria-sort=descending] button::after{content:" ↓"}
a{color:var(--fed)}
footer{color:var(--soft);font-size:14px;text-align:center}
@media (max-width:640px){main{padding:12px 10px 40px}.hero,section{padding:18px 16px;border-radius:13px}.on-wide{display:none}.on-narrow{display:block}.privacy{grid-template-columns:1fr}.tiles{grid-template-columns:1fr 1fr}.versus th{white-space:normal;width:34%}.clients .wide{display:none}td,th{padding-right:8px}table{font-size:14px}thead th{font-size:12px}}
@media print{body{background:#fff;font-size:12px}main{max-width:none;padding:0}.hero,section,.tiles div{border-color:#ccc}figure,.hero,.tiles,tr{break-inside:avoid}h2{break-after:avoid}pre{max-height:none}*{print-color-adjust:exact;-webkit-print-color-adjust:exact}}
`;
