"""The figures of heart.long.ts, by pandas and with nothing of Starling's but the positions in split.ts and the PyTorch weights.

python3 heart.py UCI_FOLDER COPY_FOLDER WEIGHTS.json, from the repository root; weights: [...torchLinear(42, 13)] as JSON.
"""
import json, re, sys
import numpy as np, pandas as pd
UCI, COPY, WEIGHTS = sys.argv[1:]
W=np.array(json.load(open(WEIGHTS)))
src=open('client/workloads/heart/split.ts').read()
def lst(k): return [int(x) for x in re.findall(r'\d+',re.search(k+r'[:=]\s*(\[[^\]]*\])',src).group(1))]
copy=lst('TEST_PATIENTS_OF_COPY ')
N='age sex cp trestbps chol fbs restecg thalach exang oldpeak slope ca thal target'.split()
def prep(d):
    d=d[N[:10]+['target']].dropna()
    y=(d.target>0).astype(int).values
    x=d.drop(columns='target')
    for col,v in (('cp',[2,3,4]),('restecg',[1,2])):
        for k in v: x[f'{col}{k}']=(x[col]==k)*1.0
    return x.drop(columns=['cp','restecg']).astype(float).values,y
def uci(h): return pd.read_csv(f'{UCI}/processed.{h}.data',header=None,names=N,na_values='?')
c=pd.read_csv(f'{COPY}/heart_cleveland.csv',encoding='utf-8-sig',na_values='?')
c['cp']=c.cp.replace({0:4,1:2,2:3,3:1}); c['restecg']=c.restecg.replace({0:2,1:0,2:1}); c['target']=1-c.target
for label,cl,test in (('uci',uci('cleveland'),lst('cleveland')),('copy',c,copy)):
    parts=[];tr=[]
    for h,d,t in (('c',cl,test),('h',uci('hungarian'),lst('hungarian')),('s',uci('switzerland'),lst('switzerland')),('v',uci('va'),lst('va'))):
        x,y=prep(d); m=np.zeros(len(y),bool); m[t]=True
        mu,sd=x[~m].mean(0),x[~m].std(0,ddof=1)
        z=(x[m]-mu)/(sd+1e-9)
        right=(((z@W[:13]+W[13])>0)==(y[m]==1)).sum()
        print(label,h,[len(y)-m.sum(),y[~m].sum()],[m.sum(),y[m].sum()],'right',right,np.round(z[0],4).tolist())
        tr.append(x[~m]);parts.append((x[m],y[m]))
    a=np.vstack(tr);mu,sd=a.mean(0),a.std(0,ddof=1)
    z=(np.vstack([p[0] for p in parts])-mu)/(sd+1e-9);y=np.hstack([p[1] for p in parts])
    print(label,'pooled',(((z@W[:13]+W[13])>0)==(y==1)).sum(),np.round(z[0],4).tolist())
